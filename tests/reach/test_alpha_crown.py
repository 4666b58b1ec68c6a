"""alpha-CROWN: the optimum of the triangle relaxation, never below CROWN, and slopes that are all a proof needs."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear, Relu
from surefoot.reach import tightening
from surefoot.reach.alpha_crown import (
    Tightened,
    default_choice,
    optimize_slopes,
    tighten_as_recorded,
    tighten_by_alpha_crown,
)
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box, step
from surefoot.reach.relaxation import Choice, relax
from surefoot.reach.tightening import both_ends, tighten_by_crown


def dense(seed: int, *sizes: int) -> Graph:
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((sizes[0],))
    for before, after in pairwise(sizes):
        last = len(builder.nodes) - 1
        last = builder.add(Relu(), last) if last else last
        builder.add(
            Linear(torch.from_numpy(rng.normal(size=(after, before))), torch.from_numpy(rng.normal(size=after))), last
        )
    return builder.build()


def square(d: int) -> Box:
    return Box(-torch.ones(1, d).double(), torch.ones(1, d).double())


def least_of_triangles(graph: Graph, row: np.ndarray) -> float:
    """Solve the linear program of one hidden layer over (x, y): y >= 0, y >= z, y <= u (z - l) / (u - l)."""
    first, second = graph.nodes[1].op, graph.nodes[3].op
    assert isinstance(first, Linear)
    assert isinstance(second, Linear)
    assert first.bias is not None
    assert second.bias is not None
    w, b = first.weight.numpy(), first.bias.numpy()
    h, d = w.shape
    low, high = b - np.abs(w).sum(1), b + np.abs(w).sum(1)
    slope = np.where(high <= 0, 0, np.where(low >= 0, 1, high / (high - low)))
    offset = np.where((low < 0) & (high > 0), -slope * low, 0.0)
    below = np.where(high <= 0, 0.0, 1.0)[:, None]
    rows = np.block([[below * w, -np.eye(h)], [-slope[:, None] * w, np.eye(h)]])
    bounds = np.concatenate([-below[:, 0] * b, slope * b + offset])
    ends = [(-1, 1)] * d + [(0, None)] * h
    cost = np.concatenate([np.zeros(d), row @ second.weight.numpy()])
    found = linprog(cost, rows, bounds, bounds=ends)
    assert found.status == 0
    return float(found.fun + row @ second.bias.numpy())


@pytest.mark.parametrize("seed", range(8))
def test_it_reaches_the_linear_program_of_one_hidden_layer_and_no_more(seed: int) -> None:
    graph = dense(seed, 3, 8, 2)
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 3, 2)))
    start = default_choice(relaxation, 3, 3)
    plain = lower_bounds(relaxation, 3, rows)[0]
    choice, told = optimize_slopes(relaxation, 3, rows, start, {}, 100)
    found = lower_bounds(relaxation, 3, rows, choice)[0]
    for row, crown, bound, said in zip(rows[0].numpy(), plain.tolist(), found.tolist(), told[0].tolist(), strict=True):
        best = least_of_triangles(graph, row)
        assert crown - 1e-9 <= bound <= best + 1e-9
        assert bound == pytest.approx(said, abs=1e-9)
        assert bound >= best - 0.02 * (1 + abs(best))


def test_it_stops_where_it_is_enough() -> None:
    graph = dense(1, 3, 8, 2)
    relaxation = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    rows, start = torch.eye(2).double().unsqueeze(0), default_choice(relaxation, 3, 2)
    few, many = (optimize_slopes(relaxation, 3, rows, start, {}, 30, enough)[1] for enough in (-np.inf, np.inf))
    assert torch.equal(few, lower_bounds(relaxation, 3, rows, rounded=False))
    assert bool((many >= few).all())
    assert bool((many > few + 1e-6).any())


@pytest.mark.parametrize("seed", range(4))
def test_recorded_slopes_give_the_bounds_again(seed: int) -> None:
    """A proof holds these alone: with intervals, one pass of CROWN finds what tightening found."""
    graph = dense(seed, 3, 8, 8, 2)
    record: Tightened = {}
    found = relax(graph, square(3), REAL, tighten_by_alpha_crown(8, record=record), multi_neuron=False)
    plain = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    assert set(record) == {3}  # the first layer's bounds are exact without
    which, slopes = record[3]
    rows = both_ends(which, 8, found.boxes[3])
    choice = Choice({at: x.to(torch.float64).reshape(1, len(x), -1) for at, x in slopes.items()})
    again = lower_bounds(found, 3, rows, choice).reshape(2, -1)
    box, intervals = found.boxes[3], step(graph.nodes[3], [found.boxes[2]], None)
    torch.testing.assert_close(torch.maximum(again[0], intervals.lower[0, which]), box.lower[0, which])
    torch.testing.assert_close(torch.minimum(-again[1], intervals.upper[0, which]), box.upper[0, which])
    width, before = ((made.boxes[3].upper - made.boxes[3].lower).sum() for made in (found, plain))
    assert float(width) <= float(before) + 1e-6


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [3, 2**21])
def test_tightening_as_recorded_finds_all_boxes_again(seed: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some values at a time, too; a node that is not recorded gets the boxes of CROWN, and is recorded."""
    graph = dense(seed, 3, 8, 8, 8, 2)
    record: Tightened = {}
    found = relax(graph, square(3), REAL, tighten_by_alpha_crown(8, record=record), multi_neuron=False)
    monkeypatch.setattr(tightening, "LARGEST_ROWS", rows * 16)
    again = relax(graph, square(3), REAL, tighten_as_recorded(record), multi_neuron=False)
    none: Tightened = {}
    plain = relax(graph, square(3), REAL, tighten_as_recorded(none), multi_neuron=False)
    crown = relax(graph, square(3), REAL, tighten_by_crown, multi_neuron=False)
    assert none.keys() == {3, 5}
    for one, other in ((found, again), (crown, plain)):
        for box, same in zip(one.boxes, other.boxes, strict=True):
            torch.testing.assert_close(same.lower, box.lower, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(same.upper, box.upper, rtol=1e-10, atol=1e-10)
