"""The independent checker: its bounds hold for every input, whatever it is told about slopes."""

import numpy as np
import pytest
import torch

from networks import random_box, random_network, random_polynomial, samples
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, apply, fold
from surefoot.graph.ops import Linear, MaxPool2d, Mul, Relu
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
