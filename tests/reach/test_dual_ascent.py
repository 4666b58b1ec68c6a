"""Bounds over the reduced network are those over the graph; its gradient is PyTorch's; children begin at parents."""

import pytest
import torch

from cases import first
from reach.test_reduced import relaxed
from surefoot.reach import dual_ascent
from surefoot.reach.alpha_crown import default_choice, optimize_slopes
from surefoot.reach.crown import lower_bounds
from surefoot.reach.dual_ascent import ascend, bound, multipliers_of_parent
from surefoot.reach.reduced import ReducedNetwork, Rows
from surefoot.reach.relaxation import Relaxation
from surefoot.reach.unstable import Dual


def random_dual(network: ReducedNetwork, regions: int, seed: int, decided: float = 0.4) -> Dual:
    generator = torch.Generator().manual_seed(seed)
    shape = (regions, network.count)
    signs = torch.randint(0, 2, shape, generator=generator).float() * 2 - 1
    signs = torch.where(torch.rand(shape, generator=generator) < decided, signs, 0.0)
    return Dual(signs, torch.rand(shape, generator=generator))


def case(seed: int, regions: int) -> tuple[Relaxation, ReducedNetwork, torch.Tensor, Rows]:
    relaxation, graph, _ = relaxed(seed)
    network = ReducedNetwork.of(relaxation)
    assert network is not None
    weights = torch.randn(regions, 3, generator=torch.Generator().manual_seed(seed))
    return relaxation, network, weights, network.rows(len(graph.nodes) - 1, weights)


def on_graph(relaxation: Relaxation, network: ReducedNetwork, weights: torch.Tensor, dual: Dual) -> torch.Tensor:
    wide = Dual(dual.signs.double(), dual.values.double())
    cut = relaxation.over(network.unstable.decide(relaxation.boxes, wide.signs))
    out = len(relaxation.graph.nodes) - 1
    choice = network.unstable.choice(wide)
    return lower_bounds(cut, out, weights.double().unsqueeze(1), choice, rounded=False)[:, 0]


@pytest.mark.parametrize("seed", first(12, range(150)))
def test_bounds_are_those_over_the_graph(seed: int) -> None:
    relaxation, network, weights, rows = case(seed, 5)
    dual = random_dual(network, 5, seed)
    found = bound(network, rows, dual).values.double()
    truth = on_graph(relaxation, network, weights, dual)
    assert torch.allclose(found, truth, atol=1e-3 * (1 + float(truth.abs().max())))


@pytest.mark.parametrize("seed", first(12, range(150)))
def test_ascent_reaches_what_that_over_the_graph_reaches(seed: int) -> None:
    relaxation, network, weights, rows = case(seed, 4)
    single, out = relaxation.to(torch.float32), len(relaxation.graph.nodes) - 1
    slopes = network.default(4)
    steps = 40
    dual, best = ascend(network, rows, Dual(torch.zeros_like(slopes), slopes), steps)
    start = default_choice(single, out, 4)
    _, other = optimize_slopes(single, out, weights.unsqueeze(0), start, {}, steps)
    size = 1 + float(relaxation.boxes[-1].magnitude.max()) * float(weights.abs().max())
    assert torch.allclose(best, other[0], atol=2e-2 * size)
    assert torch.allclose(best.double(), on_graph(relaxation, network, weights, dual), atol=1e-4 * size)


@pytest.mark.parametrize("seed", first(8, range(60)))
def test_the_gradient_is_that_of_autograd(seed: int) -> None:
    _, network, _, rows = case(seed, 1)
    if not network.count:
        pytest.skip("no ReLU is unstable")
    dual = random_dual(network, 1, seed)
    lines = dual_ascent._Lines(network, dual.signs.T)
    found = dual_ascent._backward(network, rows.matrix.T, rows.bias, lines, dual.values.T)
    z = dual_ascent._forward(network, lines, lines.below(dual.values.T), found)
    gradient = (z * (found.entering.clamp(min=0) * lines.undecided - lines.signs)).T
    x = dual.values.clone().requires_grad_()
    below, carried, total = lines.below(x.T).T, rows.matrix, rows.bias
    for layer in reversed(network.layers):  # the same pass, for autograd
        part = layer.relu.places
        a = carried[:, network.inputs :][:, part]
        above, offset = lines.above.T[:, part], lines.offset.T[:, part]
        back = a.clamp(min=0) * below[:, part] + a.clamp(max=0) * above - dual.signs[:, part] * x[:, part]
        total = total + (a.clamp(max=0) * offset).sum(1) + back @ layer.bias
        width = network.inputs + layer.relu.begin
        carried = torch.cat([carried[:, :width] + back @ layer.matrix, carried[:, width:]], 1)
    a = carried[:, : network.inputs]
    value = total + a @ network.centre - a.abs() @ network.radius
    assert torch.allclose(value, found.values, rtol=1e-5, atol=1e-5)
    value.sum().backward()
    assert x.grad is not None
    assert torch.allclose(gradient, x.grad, rtol=1e-3, atol=1e-4 * (1 + float(x.grad.abs().max())))


@pytest.mark.parametrize("seed", first(6, range(60)))
def test_ascent_never_ends_below_its_start_and_stops_each_region_when_it_is_enough(seed: int) -> None:
    _, network, _, rows = case(seed, 12)
    start = random_dual(network, 12, seed)
    before = bound(network, rows, start).values
    dual, best = ascend(network, rows, start, 10)
    assert bool((best >= before).all())
    assert torch.allclose(bound(network, rows, dual).values, best, rtol=1e-4, atol=1e-4)
    enough = float(best.median())
    _, stopped = ascend(network, rows, start, 10, enough)
    open_ = stopped <= enough
    assert torch.allclose(stopped[open_], best[open_], rtol=1e-3, atol=1e-3 * (1 + float(best.abs().max())))
    assert bool((best[~open_] >= stopped[~open_] - 1e-3 * (1 + best.abs().max())).all())
    undecided = start.signs == 0
    assert bool(((dual.values >= 0) & (~undecided | (dual.values <= 1))).all())


@pytest.mark.parametrize("seed", first(12, range(150)))
def test_a_child_begins_where_its_parent_was(seed: int) -> None:
    """Where the coefficient is positive the multiplier gives the parent's bound; elsewhere none is needed."""
    relaxation, network, weights, rows = case(seed, 1)
    parent = random_dual(network, 1, seed, 0.2)
    whole = bound(network, rows, parent)
    truth = on_graph(relaxation, network, weights, parent)
    for i in range(network.count):
        if parent.signs[0, i] != 0:
            continue
        for sign in (1.0, -1.0):
            signs, values = parent.signs.clone(), parent.values.clone()
            signs[0, i] = sign
            values[:, i] = multipliers_of_parent(whole.entering[:, i], values[:, i], signs[:, i])
            assert float(values[0, i]) >= 0
            if float(whole.entering[0, i]) >= 0:
                child = on_graph(relaxation, network, weights, Dual(signs, values))
                assert torch.allclose(child, truth, atol=1e-4 * (1 + float(truth.abs())))
