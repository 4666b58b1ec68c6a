"""Refined boxes hold all values of the network, are never wider, and come near the true ones, given enough parts."""

import numpy as np
import pytest
import torch

from cases import first
from networks import random_box, random_network, samples
from reach.test_alpha_crown import dense, square
from surefoot.core.deadline import NEVER, Deadline
from surefoot.core.rounding import FLOAT32, REAL
from surefoot.graph.graph import apply, evaluate, fold
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.proof.checker import Checker
from surefoot.proof.refined import refine
from surefoot.reach.ibp import Box
from surefoot.reach.reduced import ReducedNetwork
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.verify.refinement import (
    Parts,
    Refined,
    Refinement,
    again,
    in_float16,
    latest,
    proven_bounds,
    refined_ends,
    split_rows,
)


def keep(relaxation: object, at: int, box: Box) -> Box:
    return box


@pytest.mark.parametrize("seed", first(5, range(150)))
@pytest.mark.parametrize("parts", [0, 64, 512])
def test_refined_boxes_hold_every_value_and_are_never_wider(seed: int, parts: int) -> None:
    graph = pools_as_relus(random_network(seed))
    lower, upper = random_box(graph, seed)
    shape = (1, *graph.input_shape)
    region = Box(torch.from_numpy(lower).reshape(shape), torch.from_numpy(upper).reshape(shape))
    plain = relax(graph, region, REAL, tighten_by_crown, multi_neuron=False)
    known = dict(enumerate(plain.boxes))
    refinement = Refinement(NEVER, keep, parts)
    refined = relax(graph, region, REAL, refinement, known, multi_neuron=False)
    in_float32 = relax(graph, region, FLOAT32, again(refinement.record, tighten_by_crown), multi_neuron=False)
    x = samples(lower, upper, graph, 200, seed)
    values = fold(graph, x, lambda node, inputs: apply(node.op, inputs))
    singles = fold(graph.to(torch.float32), x.float(), lambda node, inputs: apply(node.op, inputs))
    for box, before, wide, value, single in zip(
        refined.boxes, plain.boxes, in_float32.boxes, values, singles, strict=True
    ):
        spare = 1e-12 * (1 + before.magnitude)  # of the evaluation itself
        assert bool(((value >= box.lower - spare) & (value <= box.upper + spare)).all())
        assert bool(((box.lower >= before.lower) & (box.upper <= before.upper)).all())
        assert bool(((single.double() >= wide.lower) & (single.double() <= wide.upper)).all())


@pytest.mark.parametrize("seed", range(6))
def test_the_parts_of_a_row_cover_the_region(seed: int) -> None:
    """Every input is in a part: its ReLUs have the signs that were decided there."""
    graph = dense(seed, 3, 8, 8, 2)
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    network = ReducedNetwork.of(relaxation)
    assert network is not None
    rows = network.rows(len(graph.nodes) - 1, torch.eye(2))
    rows.bias.sub_(100.0)  # nothing is above 0: all is split
    parts = split_rows(network, rows, 60)
    assert 30 < len(parts.row) <= 60
    x = torch.rand(3000, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    values = fold(graph, x, lambda node, inputs: apply(node.op, inputs))
    z = torch.cat([values[r.entering].flatten(1)[:, r.values] for r in network.unstable.relus], 1)
    for row in range(2):
        inside = torch.zeros(len(x), dtype=torch.long)
        for signs in parts.dual.signs[parts.row == row]:
            inside += (z * signs >= 0).all(1)
        assert bool((inside == 1).all())  # none lies on a border


@pytest.mark.parametrize("seed", range(4))
def test_enough_parts_bound_exactly(seed: int) -> None:
    """With all signs decided, what is left is the linear program of each pattern, which ascent comes near."""
    graph = dense(seed, 2, 5, 4, 1)
    region = square(2)
    plain = relax(graph, region, REAL, tighten_by_crown, multi_neuron=False)
    side = torch.linspace(-1, 1, 300, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    truth = fold(graph, grid, lambda node, inputs: apply(node.op, inputs))[3]
    refined = relax(
        graph, region, REAL, Refinement(NEVER, keep, 4096), dict(enumerate(plain.boxes)), multi_neuron=False
    )
    for i in range(4):
        low, high = (float(end[0, i]) for end in (refined.boxes[3].lower, refined.boxes[3].upper))
        before, after = (float(end[0, i]) for end in (plain.boxes[3].lower, plain.boxes[3].upper))
        least, most = float(truth[:, i].min()), float(truth[:, i].max())
        if before < 0 < after:  # one end, that which counts more, is near the true one, or beyond 0
            below, above = (
                low >= 0 or least - low <= 0.1 * (most - least),
                high <= 0 or high - most <= 0.1 * (most - least),
            )
            assert (below, above)[int(after < -before)]


def test_parts_without_a_bound_prove_nothing() -> None:
    graph = dense(0, 3, 8, 2)
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    network = ReducedNetwork.of(relaxation)
    assert network is not None
    rows = network.rows(3, torch.eye(2))
    parts = split_rows(network, rows, 2)
    whole = proven_bounds(relaxation, 3, Refined(torch.tensor([0, 2]), parts, network.unstable))
    y = evaluate(graph, torch.rand(500, 3, dtype=torch.float64) * 2 - 1)
    assert bool((whole <= y.min(0).values).all())
    missing = proven_bounds(relaxation, 3, Refined(torch.tensor([0, 2]), parts.of(parts.row == 0), network.unstable))
    assert float(missing[0]) == float(whole[0])
    assert float(missing[1]) == -np.inf


def test_of_two_records_the_later_parts_count() -> None:
    graph = dense(0, 3, 8, 8, 2)
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    known = dict(enumerate(relaxation.boxes))
    early, late = Refinement(NEVER, keep, 0), Refinement(NEVER, keep, 256)
    one = relax(graph, square(3), REAL, early, known, multi_neuron=False)
    two = relax(graph, square(3), REAL, late, dict(enumerate(one.boxes)), multi_neuron=False)
    joined = latest(early.record, late.record)
    ends = torch.cat([refined.ends for refined in joined[3]])
    assert len(ends) == len(set(ends.tolist()))
    assert set(ends.tolist()) == {e for r in (early.record, late.record) for x in r[3] for e in x.ends.tolist()}
    assert all(isinstance(x.parts, Parts) and int(x.parts.row.max()) < len(x.ends) for x in joined[3])
    replayed = relax(graph, square(3), REAL, again(joined, tighten_by_crown), multi_neuron=False)
    assert torch.allclose(replayed.boxes[3].lower, two.boxes[3].lower, atol=1e-9)
    assert torch.allclose(replayed.boxes[3].upper, two.boxes[3].upper, atol=1e-9)


def test_what_is_written_bounds_as_what_was_recorded() -> None:
    """In float16 slopes stay slopes, signs stay, and huge multipliers are finite."""
    graph = dense(2, 3, 8, 8, 2)
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    network = ReducedNetwork.of(relaxation)
    assert network is not None
    parts = split_rows(network, network.rows(3, torch.eye(8)), 40)
    parts.dual.values[parts.dual.signs != 0] *= 1e6
    record = in_float16({3: [Refined(torch.arange(0, 16, 2), parts, network.unstable)]})
    (written,) = refined_ends(record)[3]
    now = record[3][0].parts.dual
    assert np.isfinite(written.duals).all()
    assert np.array_equal(written.duals.astype(np.float32), now.values.numpy())
    assert bool(((now.values >= 0) & ((now.signs != 0) | (now.values <= 1))).all())
    for column, (relu, value) in enumerate(zip(written.relus, written.values, strict=True)):
        assert network.unstable.neuron(column) == (relu, value)
    checker, low, high = Checker(graph), -np.ones(3), np.ones(3)
    boxes = [(box.lower[0].numpy().copy(), box.upper[0].numpy().copy()) for box in relaxation.boxes]
    assert np.array_equal(boxes[0], (low, high))
    plain = boxes[3][0].copy()
    refine(checker, 3, boxes, written)
    expected = np.maximum(plain, proven_bounds(relaxation, 3, record[3][0]).numpy())
    assert np.allclose(boxes[3][0], expected, rtol=1e-9, atol=1e-9)


def test_no_time_leaves_boxes_as_they_are() -> None:
    graph = dense(1, 3, 8, 8, 2)
    plain = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    now = relax(graph, square(3), REAL, Refinement(Deadline.of(0.0), keep, 64), dict(enumerate(plain.boxes)),
                multi_neuron=False)  # fmt: skip
    for box, before in zip(now.boxes, plain.boxes, strict=True):
        assert torch.equal(box.lower, before.lower)
        assert torch.equal(box.upper, before.upper)
