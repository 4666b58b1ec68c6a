"""Polynomial networks proven by convex functions: sound against sampling, tight where they can be."""

import numpy as np
import pytest
import torch

from networks import random_box, random_polynomial, samples
from surefoot.core.errors import InputError
from surefoot.core.rounding import FLOAT32
from surefoot.graph.degree import degree_of
from surefoot.graph.graph import Graph, GraphBuilder, apply, evaluate
from surefoot.graph.ops import Add, ElementwiseAffine, Linear, Mul, Relu
from surefoot.reach.curvature import execution_gap, factors_of
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.curved import _convexifier, bound_rows, prove_by_curvature
from surefoot.verify.network import Network
from surefoot.verify.run import verify


def bounds(graph: Graph, low: np.ndarray, high: np.ndarray, rows: np.ndarray) -> np.ndarray:
    n = len(rows)
    lower, upper = (torch.from_numpy(np.tile(end, (n, 1))) for end in (low, high))
    weights, offsets = torch.from_numpy(rows), torch.zeros(n).double()
    return bound_rows(graph, factors_of(graph), lower, upper, weights, offsets).value.numpy()


def judged(seed: int) -> float:
    """Bound rows over a box; return what share of the range of values the bound misses the least sample by."""
    graph = random_polynomial(seed)
    low, high = random_box(graph, seed)
    rows = np.random.default_rng(seed).normal(size=(3, 3))
    found = bounds(graph, low, high, rows)
    y = evaluate(graph, samples(low, high, graph, 400, seed)).numpy() @ rows.T
    assert (found <= y.min(0) + 1e-12 * (1 + np.abs(y).max())).all(), seed
    return float(((y.min(0) - found) / (np.ptp(y, axis=0) + 1e-9 * (1 + np.abs(y).max()))).max())


def test_bounds_are_below_every_value_and_near() -> None:
    assert np.median([judged(seed) for seed in range(60)]) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_bounds_are_below_every_value_in_thousands(part: int) -> None:
    for seed in range(1000 + 1000 * part, 2000 + 1000 * part):
        judged(seed)


def test_verdicts_agree_with_the_true_minimum() -> None:
    """A little below the least value met it holds; a little above it is violated."""
    easy = [seed for seed in range(30) if (degree_of(random_polynomial(seed)).degree or 0) <= 8]
    assert len(easy) > 20
    for seed in easy:
        graph = random_polynomial(seed)
        low, high = random_box(graph, seed)
        row = np.random.default_rng(seed).normal(size=(1, 3))
        y = evaluate(graph, samples(low, high, graph, 4000, seed)).numpy() @ row.T
        step = 0.1 * np.ptp(y) + 1e-6
        network = Network.of(graph)
        below = verify(network, Query(InputSet(low, high), (Unsafe(row, np.array([y.min() - step])),)), 20, "curvature")
        assert isinstance(below, Holds), (seed, below)
        assert below.margin <= step * (1 + 1e-6) + 1e-9
        if np.ptp(y) > 1e-3:
            beyond = (Unsafe(row, np.array([y.min() + step])),)
            above = verify(network, Query(InputSet(low, high), beyond), 20, "curvature")
            assert isinstance(above, Violated), (seed, above)


def test_convex_and_concave_quadratics_are_bounded_exactly() -> None:
    """Y = x^2 - x z over the box, with its saddle inside: -1/4 at (1/2, 1)."""
    builder = GraphBuilder((2,))
    x = builder.add(Linear(torch.tensor([[1.0, 0.0]]).double()), 0)
    z = builder.add(Linear(torch.tensor([[0.0, -1.0]]).double()), 0)
    builder.add(Add(), builder.add(Mul(), x, x), builder.add(Mul(), x, z))
    graph = builder.build()
    query = Query(InputSet(np.array([-1.0, -1.0]), np.ones(2)), (Unsafe(np.ones((1, 1)), np.array([-0.2501])),))
    found = prove_by_curvature(graph, query, 10, lambda _: None)
    assert found.proven
    assert found.subproblems < 200
    hopeless = Query(query.inputs, (Unsafe(np.ones((1, 1)), np.array([-0.2499])),))
    assert not prove_by_curvature(graph, hopeless, 0.5, lambda _: None).proven


@pytest.mark.parametrize("size", [1e-30, 1e30, 1e150])
def test_tiny_and_huge_numbers(size: float) -> None:
    builder = GraphBuilder((2,))
    one = builder.add(Linear(size * torch.tensor([[1.0, 2.0], [-1.0, 1.0]]).double()), 0)
    two = builder.add(Linear(torch.tensor([[0.5, 1.0], [1.0, 0.0]]).double(), torch.ones(2).double()), 0)
    builder.add(Linear(torch.ones(1, 2).double()), builder.add(Mul(), one, two))
    graph = builder.build()
    low, high = np.zeros(2), np.ones(2)
    found = bounds(graph, low, high, np.ones((1, 1)))
    y = evaluate(graph, samples(low, high, graph, 400, 0)).numpy()
    assert found[0] <= y.min() + 1e-12 * np.abs(y).max()
    assert np.isfinite(found[0])


def test_fixed_inputs_and_points() -> None:
    graph = random_polynomial(3)
    low, _ = random_box(graph, 3)
    rows = np.random.default_rng(0).normal(size=(2, 3))
    y = rows @ evaluate(graph, torch.from_numpy(low).reshape(1, *graph.input_shape)).numpy()[0]
    found = bounds(graph, low, low, rows)
    assert (found <= y).all()
    assert (found >= y - 1e-9 * (1 + np.abs(y))).all()


def test_overflow_proves_nothing() -> None:
    builder = GraphBuilder((1,))
    last = builder.add(Linear(1e200 * torch.ones(1, 1).double()), 0)
    last = builder.add(Mul(), last, last)
    graph = builder.build()
    query = Query(InputSet(np.array([0.5]), np.ones(1)), (Unsafe(np.ones((1, 1)), np.zeros(1)),))
    assert not prove_by_curvature(graph, query, 0.2, lambda _: None, most_subproblems=50).proven


def test_it_is_for_polynomials() -> None:
    builder = GraphBuilder((2,))
    last = builder.add(Relu(), builder.add(Linear(torch.ones(2, 2).double()), 0))
    builder.add(Mul(), last, last)
    query = Query(InputSet(np.zeros(2), np.ones(2)), (Unsafe(np.ones((1, 2)), np.zeros(1)),))
    with pytest.raises(InputError, match="curvature is for polynomials"):
        verify(Network.of(builder.build()), query, 5, "curvature")


def test_no_float32_evaluation_differs_by_more_than_the_gap() -> None:
    """In float32 as it comes, with inputs turned around, and with every operation off by its error, up or down."""
    reached = []
    for seed in range(40):
        graph = random_polynomial(seed).to(torch.float32).to(torch.float64)
        low, high = random_box(graph, seed)
        rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 3, 3)))
        shape = (1, *graph.input_shape)
        region = Box(*(torch.from_numpy(end).reshape(shape) for end in (low, high)))
        made = relax(graph, region, FLOAT32, multi_neuron=False)
        gap = execution_gap(graph, made.boxes, made.errors, rows.reshape(1, 3, *graph.output_shape))[0]
        x = samples(low, high, graph, 300, seed).float()
        x = x[(x >= region.lower).flatten(1).all(1) & (x <= region.upper).flatten(1).all(1)]
        y = evaluate(graph, x.double()).flatten(1)
        off = evaluate(graph.to(torch.float32), x).double().flatten(1) - y
        assert bool(((off @ rows[0].T).abs() <= gap).all()), seed
        for turn in range(6):
            generator = torch.Generator().manual_seed(turn)
            values: list[torch.Tensor] = []
            for node, error in zip(graph.nodes, made.errors, strict=True):
                value = apply(node.op, [values[i] for i in node.inputs]) if node.inputs else x.double()
                if error is not None:
                    value = value + error * (2 * torch.randint(2, value.shape, generator=generator) - 1)
                values.append(value)
            share = ((values[-1].flatten(1) - y) @ rows[0].T).abs() / gap
            assert bool((share <= 1).all()), seed
            reached.append(float(share.max()))
    assert max(reached) > 0.3  # and it is no wild over-estimate


def test_proofs_say_whether_they_hold_in_float32() -> None:
    builder = GraphBuilder((1,))
    x = builder.add(Linear(torch.tensor([[1.0]]).double(), torch.tensor([0.5]).double()), 0)
    square = builder.build(builder.add(Mul(), x, x))  # at least 0
    for spare, float32 in ((1e-3, True), (1e-12, False)):
        query = Query(InputSet(-np.ones(1), np.ones(1)), (Unsafe(np.ones((1, 1)), np.array([-spare])),))
        found = verify(Network.of(square), query, 10, "curvature")
        assert isinstance(found, Holds)
        assert found.float32 == float32


@pytest.mark.parametrize(("down", "up", "back"), [(1e-168, 1e241, 1e-73), (1e160, 1e-80, 1e-80), (1e-250, 1e250, 1.0)])
def test_numbers_that_leave_float64_on_the_way(down: float, up: float, back: float) -> None:
    """It is x^3, at least 1 and at most 8 here, by way of numbers that are tiny or huge."""
    builder = GraphBuilder((2,))
    small = builder.add(ElementwiseAffine(torch.tensor([down], dtype=torch.float64)), 0)
    last = builder.add(Mul(), small, builder.add(Mul(), 0, 0))
    for scale in (up, back):
        last = builder.add(ElementwiseAffine(torch.tensor([scale], dtype=torch.float64)), last)
    graph = builder.build(last)
    assert (bounds(graph, np.array([1.0, 1.0]), np.array([2.0, 1.5]), np.eye(2)) <= 1 + 1e-12).all()
    assert (bounds(graph, np.array([1.0, 1.0]), np.array([2.0, 1.5]), -np.eye(2)) <= [-8 + 1e-12, -3.375 + 1e-12]).all()


def test_what_is_no_number_is_not_given_to_lapack() -> None:
    """It would raise: where nothing is known there is no convexifier."""
    unknown = torch.full((1, 9), torch.nan).double()
    free = torch.ones(1, 9, dtype=torch.bool)
    found = _convexifier(torch.zeros(1, 9, 9).double(), torch.tensor([torch.inf]).double(), unknown, free)
    assert bool(torch.isinf(found).all())
