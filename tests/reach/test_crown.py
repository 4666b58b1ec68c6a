"""CROWN: the numbers of a published example, and soundness for any choice."""

import numpy as np
import pytest
import torch
from torch import Tensor

from networks import samples
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, apply, fold
from surefoot.graph.ops import Add, Linear, Relu, Softmax
from surefoot.reach.crown import Trace, lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Choice, relax
from surefoot.reach.tightening import tighten_by_crown


def dense(*weights: Tensor, last: Tensor | None = None) -> Graph:
    """Linear layers with a ReLU after each but the last; the last bias is given."""
    builder = GraphBuilder((weights[0].shape[1],))
    for w in weights[:-1]:
        builder.add(Relu(), builder.add(Linear(w.double()), len(builder.nodes) - 1))
    builder.add(Linear(weights[-1].double(), None if last is None else last.double()), len(builder.nodes) - 1)
    return builder.build()


def square(d: int) -> Box:
    return Box(-torch.ones(1, d).double(), torch.ones(1, d).double())


def both_ends(graph: Graph, region: Box) -> tuple[list[float], list[float]]:
    relaxation = relax(graph, region, REAL, tighten_by_crown, multi_neuron=False)
    (k,) = graph.output_shape
    rows = torch.cat([torch.eye(k), -torch.eye(k)]).double().unsqueeze(0)
    found = lower_bounds(relaxation, len(graph.nodes) - 1, rows)[0]
    return found[:k].tolist(), (-found[k:]).tolist()


def test_the_example_of_the_deep_poly_paper() -> None:
    """Singh et al. 2019, figure 4: x11 is in [1, 5.5], x12 in [0, 2]."""
    turn = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    graph = dense(turn, turn, torch.tensor([[1.0, 1.0], [0.0, 1.0]]), last=torch.tensor([1.0, 0.0]))
    low, high = both_ends(graph, square(2))
    assert low == pytest.approx([1.0, 0.0], abs=1e-9)
    assert high == pytest.approx([5.5, 2.0], abs=1e-9)


def test_bounds_of_affine_networks_are_exact_and_rounded_outward() -> None:
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5)))
    low, high = both_ends(dense(weights), square(5))
    for end, sign in ((low, -1.0), (high, 1.0)):
        for found, row in zip(end, weights, strict=True):
            exact = sign * float(row.abs().sum())
            assert found == pytest.approx(exact, rel=1e-12)
            assert sign * (found - exact) > 0


@pytest.mark.parametrize("seed", range(6))
def test_any_choice_is_sound_on_the_part_that_its_multipliers_speak_of(seed: int) -> None:
    """Random slopes below and above, and a multiplier for half of the values that enter ReLUs: decided by sign."""
    rng = np.random.default_rng(seed)
    graph = dense(*(torch.from_numpy(rng.normal(size=s)) for s in ((6, 3), (5, 6), (2, 5))))
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    rows = torch.from_numpy(rng.normal(size=(1, 4, 2)))
    x = samples(-np.ones(3), np.ones(3), graph, 2000, seed)
    values = fold(graph, x, lambda node, given: apply(node.op, given))
    places = relaxation.relus()
    middle = fold(graph, x[:1], lambda node, given: apply(node.op, given))
    signs = {
        at: torch.sign(middle[at - 1]) * (torch.from_numpy(rng.random(middle[at - 1].shape)) < 0.5) for at in places
    }
    inside = torch.ones(len(x), dtype=torch.bool)
    for at, sign in signs.items():
        inside &= (sign * values[at - 1] >= 0).all(1)
    assert bool(inside.any())

    def some(at: int) -> Tensor:
        return torch.from_numpy(rng.random((1, 4, *graph.nodes[at].shape)))

    for _ in range(5):
        slopes, above = ({at: some(at) for at in places} for _ in range(2))
        multipliers = {at: signs[at].unsqueeze(1) * some(at) for at in places}
        decided = lower_bounds(relaxation, len(graph.nodes) - 1, rows, Choice(slopes, multipliers, above))[0]
        whole = lower_bounds(relaxation, len(graph.nodes) - 1, rows, Choice(slopes, {}, above))[0]
        y = values[-1] @ rows[0].T
        assert bool((y >= whole - 1e-12).all())
        assert bool((y[inside] >= decided - 1e-12).all())


@pytest.mark.parametrize(("sign", "least"), [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0)])
def test_a_multiplier_says_what_is_known_of_a_sign(sign: float, least: float) -> None:
    """relu(x) + s x over [-1, 1], with the line 0 below: s x; the multiplier s of s x >= 0 leaves nothing of it."""
    builder = GraphBuilder((1,))
    x = builder.add(Linear(torch.ones(1, 1).double()), 0)
    beside = builder.add(Linear(torch.full((1, 1), sign or 1.0).double()), 0)
    relu = builder.add(Relu(), x)
    total = builder.add(Add(), relu, beside)
    relaxation = relax(builder.build(), square(1), REAL, multi_neuron=False)
    zero, known = torch.zeros(1, 1, 1).double(), torch.full((1, 1, 1), sign).double()
    row = torch.ones(1, 1, 1).double()
    found = float(lower_bounds(relaxation, total, row, Choice({relu: zero}, {relu: known})))
    assert found == pytest.approx(least, abs=1e-9)


def test_a_trace_keeps_the_coefficients_of_the_input() -> None:
    graph = dense(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]))
    region = Box(torch.tensor([[1.0, 1.0]]).double(), torch.tensor([[2.0, 2.0]]).double())  # the ReLU is active
    trace = Trace()
    lower_bounds(relax(graph, region, REAL), 3, torch.ones(1, 1, 1).double(), trace=trace)
    assert trace.input is not None
    assert trace.input.tolist() == [[[3.0, 6.0]]]
    assert trace.entering[2].tolist() == [[[3.0]]]


def test_a_softmax_has_no_bounds() -> None:
    builder = GraphBuilder((2,))
    builder.add(Softmax(), 0)
    with pytest.raises(InputError, match="Softmax"):
        relax(builder.build(), square(2), REAL)
