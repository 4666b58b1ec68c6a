"""ReLUs of few inputs taken together: sound for any upper slopes, never looser than triangles, exact where concave."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from surefoot.core.rounding import FLOAT32, REAL, Arithmetic
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Conv2d, Linear, Relu, Reshape
from surefoot.reach.alpha_crown import default_choice, optimize_slopes
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.multi_neuron import shares_inputs
from surefoot.reach.relaxation import Choice, Relaxation, relax


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=random(seed), dtype=torch.float64)


def convolutional(seed: int) -> Graph:
    builder = GraphBuilder((1, 4, 5))
    conv = Conv2d(normal(seed, 6, 1, 2, 2), normal(seed + 1, 6), (1, 1 + seed % 2), (1, 0, 0, 1))
    last = builder.add(Relu(), builder.add(conv, 0))
    last = builder.add(Reshape((int(np.prod(builder.nodes[last].shape)),)), last)
    return builder.build(builder.add(Linear(normal(seed + 2, 3, builder.nodes[last].shape[0])), last))


def dense(seed: int) -> Graph:
    builder = GraphBuilder((3,))
    last = builder.add(Relu(), builder.add(Linear(normal(seed, 8, 3), normal(seed + 1, 8)), 0))
    last = builder.add(Relu(), builder.add(Linear(normal(seed + 2, 5, 8), normal(seed + 3, 5)), last))
    return builder.build(builder.add(Linear(normal(seed + 4, 3, 5)), last))


def region(graph: Graph, seed: int, regions: int = 2) -> Box:
    centre = normal(seed + 9, regions, *graph.input_shape).float().double()
    radius = torch.rand(regions, *graph.input_shape, generator=random(seed), dtype=torch.float64).float().double()
    return Box(centre - radius, centre + radius)


def bounds(relaxation: Relaxation, rows: Tensor, choice: Choice | None = None) -> Tensor:
    return lower_bounds(relaxation, len(relaxation.graph.nodes) - 1, rows, choice)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("arithmetic", [REAL, FLOAT32], ids=lambda a: a.name)
@pytest.mark.parametrize("make", [convolutional, dense])
def test_bounds_hold_at_every_point_and_are_no_looser(seed: int, arithmetic: Arithmetic, make: object) -> None:
    graph: Graph = make(seed)  # pyright: ignore[reportCallIssue]
    box = region(graph, seed)
    rows = torch.cat([torch.eye(3), -torch.eye(3), torch.ones(1, 3)]).double().expand(2, -1, -1)
    out = len(graph.nodes) - 1
    together, apart = (relax(graph, box, arithmetic, multi_neuron=multi) for multi in (True, False))
    assert list(together.multi_neuron) == [at for at in together.relus() if shares_inputs(graph, at)]
    assert together.multi_neuron
    assert not apart.multi_neuron
    plain = bounds(together, rows)
    assert bool((plain >= bounds(apart, rows) - 1e-9 * (1 + plain.abs())).all())
    upper_slopes = {at: torch.rand_like(x) for at, x in default_choice(together, out, 7).upper_slopes.items()}
    chosen, best = optimize_slopes(together, out, rows, default_choice(together, out, 7), {}, 10)
    assert bool((best >= plain - 1e-9).all())
    x = box.lower + torch.rand(500, *box.lower.shape, generator=random(seed), dtype=torch.float64) * (
        box.upper - box.lower
    )
    corners = torch.stack([box.lower, box.upper])
    x = torch.cat([x, corners]).float().double().clamp(box.lower, box.upper)
    network = graph.to(torch.float32) if arithmetic is FLOAT32 else graph
    for part in range(2):
        inputs = x[:, part].float() if arithmetic is FLOAT32 else x[:, part]
        y = evaluate(network, inputs).double() @ rows[0].T
        for choice in (None, Choice({}, {}, upper_slopes), chosen):
            found = bounds(together, rows, choice)[part]
            assert bool((y.min(0).values >= found - (1e-12 if arithmetic is REAL else 0)).all())


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_of_a_concave_sum_is_its_least_value(seed: int) -> None:
    """-sum relu(W x) is concave: its least value over a box is at a corner, and ascent finds it nearly."""
    builder = GraphBuilder((3,))
    last = builder.add(Relu(), builder.add(Linear(normal(seed, 20, 3)), 0))
    graph = builder.build(builder.add(Linear(-torch.ones(1, 20, dtype=torch.float64)), last))
    radius = torch.rand(1, 3, generator=random(seed), dtype=torch.float64)
    box = Box(-radius, radius)
    truth = min(
        float(evaluate(graph, torch.where(torch.tensor(bits), box.upper, box.lower)))
        for bits in itertools.product([False, True], repeat=3)
    )
    together = relax(graph, box, REAL)
    _, best = optimize_slopes(together, 3, torch.ones(1, 1, 1).double(), default_choice(together, 3, 1), {}, 300)
    apart = float(bounds(relax(graph, box, REAL, multi_neuron=False), torch.ones(1, 1, 1).double()))
    assert truth >= float(best) - 1e-9
    assert truth - float(best) <= 0.02 * (truth - apart) + 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_decided_signs_are_kept(seed: int) -> None:
    """Where a part of the region is asked for by a sign, the bound holds on that part."""
    graph = dense(seed)
    box = region(graph, seed, 1)
    together = relax(graph, box, REAL)
    at = together.relus()[0]
    entering = together.boxes[graph.nodes[at].inputs[0]]
    value = int(together.unstable(at)[0].float().argmax())
    x = box.lower + torch.rand(4000, 3, generator=random(seed), dtype=torch.float64) * (box.upper - box.lower)
    z = graph.nodes[1].op(x)[:, value]  # pyright: ignore[reportCallIssue]
    rows = torch.eye(3).double().unsqueeze(0)
    for sign in (1, -1):
        mask = torch.zeros_like(entering.lower)
        mask[0, value] = sign
        cut = list(together.boxes)
        cut[graph.nodes[at].inputs[0]] = Box(
            torch.where(mask > 0, entering.lower.clamp(min=0), entering.lower),
            torch.where(mask < 0, entering.upper.clamp(max=0), entering.upper),
        )
        part = together.over(cut)
        start = default_choice(part, len(graph.nodes) - 1, 3)
        multipliers = {at: torch.full((1, 1, 8), 0.1, dtype=torch.float64) * mask.abs()}
        choice, _ = optimize_slopes(
            part,
            len(graph.nodes) - 1,
            rows,
            Choice(start.slopes, {at: x.expand(1, 3, 8) for at, x in multipliers.items()}, start.upper_slopes),
            {at: mask.unsqueeze(1)},
            20,
        )
        y = evaluate(graph, x[z * sign >= 0])
        if len(y):
            assert bool((y.min(0).values >= bounds(part, rows, choice)[0] - 1e-12).all())
