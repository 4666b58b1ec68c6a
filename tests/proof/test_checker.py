"""The independent checker: its bounds hold for every input, whatever it is told about slopes."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from long_sums import long_sum
from networks import random_box, random_network, random_polynomial, samples, with_functions
from reach.test_alpha_crown import dense
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, apply, fold
from surefoot.graph.ops import Elementwise, Linear, MaxPool2d, Mul, Relu
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.proof.checker import Checker


def values(graph: Graph, x: torch.Tensor) -> list[np.ndarray]:
    """Evaluate every node, one row for each input."""
    found = fold(graph, x, lambda node, given: apply(node.op, list(given)))
    return [v.flatten(1).numpy() for v in found]


@pytest.mark.parametrize("scale", [1e-100, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(25))
def test_bounds_hold_for_every_node_of_networks_with_products(seed: int, scale: float) -> None:
    graph = random_polynomial(seed) if seed % 2 else random_network(seed, products=True)
    if any(isinstance(node.op, MaxPool2d) for node in graph.nodes):
        with pytest.raises(InputError, match="MaxPool2d"):
            Checker(graph)
        return
    lower, upper = (scale * end for end in random_box(graph, seed))
    checker, rng = Checker(graph), np.random.default_rng(seed)
    seen = values(graph, samples(lower, upper, graph, 200, seed))
    boxes = checker.boxes(lower, upper)
    for (low, high), y in zip(boxes, seen, strict=True):
        slack = 1e-12 * np.abs(y).max(initial=0)  # the judge is rounded, too
        assert (y >= low - slack).all()
        assert (y <= high + slack).all()
    out = len(graph.nodes) - 1
    rows = rng.normal(size=(6, seen[-1].shape[1]))
    slopes = {at: rng.uniform(-1, 2, seen[at].shape[1]) for at, n in enumerate(graph.nodes) if isinstance(n.op, Relu)}
    for proposed in (None, slopes):
        found = checker.bound(out, rows, boxes, proposed)
        reached = seen[-1] @ rows.T
        assert (reached >= found - 1e-12 * np.abs(reached).max()).all()


@pytest.mark.parametrize("seed", range(12))
def test_bounds_hold_for_every_node_of_networks_with_functions(seed: int) -> None:
    graph = pools_as_relus(with_functions(random_network(seed, products=True), seed))
    lower, upper = random_box(graph, seed)
    lower, upper = (0.9 * (lower + upper) / 2 + 0.1 * end for end in (lower, upper))
    checker, rng = Checker(graph), np.random.default_rng(seed)
    seen = values(graph, samples(lower, upper, graph, 200, seed))
    boxes = checker.boxes(lower, upper)
    for (low, high), y in zip(boxes, seen, strict=True):
        slack = 1e-11 * (1 + np.abs(y).max(initial=0))
        assert ((y >= low - slack) & (y <= high + slack)).all()
    out = len(graph.nodes) - 1
    rows = rng.normal(size=(4, seen[-1].shape[1]))
    bent = {at: n for at, n in enumerate(graph.nodes) if isinstance(n.op, Relu | Elementwise)}
    slopes = {at: rng.uniform(-1, 2, seen[at].shape[1] * (1 + isinstance(n.op, Elementwise))) for at, n in bent.items()}
    for proposed in (None, slopes):
        found = checker.bound(out, rows, boxes, proposed)
        reached = seen[-1] @ rows.T
        assert (reached >= found - 1e-11 * (1 + np.abs(reached).max())).all()


@pytest.mark.parametrize("seed", range(8))
def test_signs_narrow_boxes_for_each_row_alone(seed: int) -> None:
    graph, rng = dense(seed, 3, 6, 6, 2), np.random.default_rng(seed)
    checker = Checker(graph)
    boxes = checker.boxes(-np.ones(3), np.ones(3))
    rows, x = rng.normal(size=(7, 2)), torch.rand(3000, 3, dtype=torch.float64) * 2 - 1
    signs = {at: rng.integers(-1, 2, (7, 6)) * (rng.random((7, 6)) < 0.4) for at in (2, 4)}
    slopes = {at: rng.random((7, 6)) for at in (2, 4)}
    multipliers = {at: sign * rng.exponential(size=(7, 6)) for at, sign in signs.items()}
    found, seen = checker.bound(5, rows, boxes, slopes, multipliers, signs), values(graph, x)
    for i, row in enumerate(rows):
        slope, multiplier = ({at: part[at][i] for at in part} for part in (slopes, multipliers))
        narrowed = list(boxes)
        for at, sign in signs.items():
            (low, high), s = boxes[at - 1], sign[i]
            narrowed[at - 1] = np.where(s > 0, np.maximum(low, 0), low), np.where(s < 0, np.minimum(high, 0), high)
        alone = checker.bound(5, row[None], narrowed, slope, multiplier)[0]
        assert found[i] == pytest.approx(alone, rel=1e-12, abs=1e-12)
        inside = np.all([(seen[at - 1] * signs[at][i] >= 0).all(1) for at in (2, 4)], 0)
        assert (seen[5][inside] @ row >= found[i] - 1e-12 * np.abs(seen[5]).max()).all()


def test_a_square_is_bounded_by_planes_that_touch_it() -> None:
    builder = GraphBuilder((1,))
    builder.add(Mul(), 0, 0)
    checker = Checker(builder.build())
    boxes = checker.boxes(np.array([1.0]), np.array([3.0]))
    assert np.allclose(boxes[1], [[1.0], [9.0]])
    row = np.array([[1.0], [-1.0]])
    assert np.allclose(checker.bound(1, row, boxes), [-1.0, -9.0])  # 4 x - 5 below, 4 x - 3 above


def test_what_is_too_small_for_a_number_is_not_called_zero() -> None:
    """The square is 1e-340, which float64 cannot hold; a weight makes much of it."""
    builder = GraphBuilder((1,))
    square = builder.add(Mul(), 0, 0)
    builder.add(Linear(torch.tensor([[1e300]], dtype=torch.float64)), square)
    checker = Checker(builder.build())
    boxes = checker.boxes(np.array([1e-170]), np.array([2e-170]))
    assert boxes[2][1] >= 4e-40
    assert -checker.bound(2, np.array([[-1.0]]), boxes) >= 4e-40


@pytest.mark.parametrize("steps", [10, 400, 3000])
def test_what_is_rounded_away_in_a_long_sum_is_paid_for(steps: int) -> None:
    graph, least = long_sum(steps)
    checker = Checker(graph)
    boxes = checker.boxes(np.zeros(1), np.full(1, 1e-30))
    found = checker.bound(len(boxes) - 1, np.ones((1, 1)), boxes)
    assert Fraction(float(found[0])) <= least


def test_what_passes_the_largest_number_is_refused() -> None:
    """The width of what enters the ReLU is infinite, and its triangle would be flat."""
    for size in (1.2e308, 1e301, np.inf):
        builder = GraphBuilder((1,))
        builder.add(Relu(), builder.add(Linear(torch.tensor([[size]], dtype=torch.float64)), 0))
        with pytest.raises(InputError, match="its values may pass"):
            Checker(builder.build()).boxes(-np.ones(1), np.ones(1))
    checker = Checker(builder.build())
    with pytest.raises(InputError, match="no finite number"):
        checker.bound(2, np.ones((1, 1)), [(-np.ones(1), np.ones(1))] * 3, {2: np.array([np.nan])})


@pytest.mark.parametrize("thorough", [True, False])
def test_rows_are_carried_back_some_at_a_time(thorough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = pools_as_relus(random_network(4))
    lower, upper = random_box(graph, 4)
    rows = np.random.default_rng(0).normal(size=(50, 3))
    found = []
    for most in (2**23, 1):
        monkeypatch.setattr("surefoot.proof.checker.BATCH_NUMBERS", most)
        checker = Checker(graph)
        boxes = checker.boxes(lower, upper, thorough=thorough)
        found.append(
            np.concatenate([np.concatenate(box) for box in boxes] + [checker.bound(len(boxes) - 1, rows, boxes)])
        )
    assert np.allclose(*found, rtol=1e-12, atol=1e-12)
