"""ReLU splitting with hulls: what it proves no input breaks, what is broken is met, and boxes are cut soundly."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.reach.dense import DenseNetwork, dense_network_of
from surefoot.reach.neuron_hulls import bound_by_hulls
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated
from surefoot.verify.hull_splitting import HullSplitting, cut_by_halfspace, may_use_hulls, prove_by_hulls
from surefoot.verify.network import Network
from surefoot.verify.run import verify


def graph_of(seed: int, widths: tuple[int, ...]) -> Graph:
    draws = np.random.default_rng(seed)
    builder, last = GraphBuilder((widths[0],)), 0
    for k, (n, m) in enumerate(pairwise(widths)):
        weight, bias = (torch.from_numpy(x) for x in (draws.normal(size=(m, n)) / n**0.5, 0.2 * draws.normal(size=m)))
        last = builder.add(Linear(weight, bias), last)
        if k < len(widths) - 2:
            last = builder.add(Relu(), last)
    return builder.build(last)


def least_sampled(graph: Graph, row: np.ndarray, seed: int) -> float:
    """Give the least value of a row that samples and corners have."""
    draws = torch.Generator().manual_seed(seed)
    d = graph.input_shape[0]
    x = 2 * torch.rand(20_000, d, generator=draws, dtype=torch.float64) - 1
    x = torch.cat([x, x.sign()])
    return float((evaluate(graph, x) @ torch.from_numpy(row)).min())


@pytest.mark.parametrize("widths", [(6, 12, 2), (5, 8, 6, 2)])
@pytest.mark.parametrize("seed", range(2))
def test_what_holds_is_proven_and_what_does_not_is_met(seed: int, widths: tuple[int, ...]) -> None:
    graph = graph_of(seed, widths)
    network = dense_network_of(graph)
    assert network is not None
    row = np.array([1.0, -1.0])
    least = least_sampled(graph, row, seed)
    box = InputSet(-np.ones(widths[0]), np.ones(widths[0]))

    def query(bound: float) -> Query:
        return Query(box, (Unsafe(row[None], np.array([bound])),))

    proven = prove_by_hulls(network, query(least - 1.0), 60.0, lambda x: None)
    assert proven.proven
    assert proven.margin <= 1.0 + 1e-9
    verdict = verify(Network.of(graph), query(least + 0.5), 20.0, "neuron-hulls")
    assert isinstance(verdict, Violated)
    holds = verify(Network.of(graph), query(least - 1.0), 20.0, "neuron-hulls")
    assert isinstance(holds, Holds)
    assert not holds.float32


@pytest.mark.parametrize("seed", range(4))
def test_the_margin_of_what_is_stopped_is_below_every_sample(seed: int) -> None:
    graph = graph_of(seed, (8, 20, 2))
    network = dense_network_of(graph)
    assert network is not None
    row = np.array([1.0, -1.0])
    query = Query(InputSet(-np.ones(8), np.ones(8)), (Unsafe(row[None], np.array([0.0])),))
    result = prove_by_hulls(network, query, 60.0, lambda x: None, most_subproblems=20)
    assert result.margin <= least_sampled(graph, row, seed) + 1e-12


def test_two_unsafe_sets_are_both_missed() -> None:
    graph = graph_of(1, (4, 6, 2))
    network = dense_network_of(graph)
    assert network is not None
    rows = [np.array([1.0, 0.0]), np.array([0.0, -1.0])]
    least = [least_sampled(graph, row, 0) for row in rows]
    box = InputSet(-np.ones(4), np.ones(4))
    far = tuple(Unsafe(row[None], np.array([low - 0.3])) for row, low in zip(rows, least, strict=True))
    assert prove_by_hulls(network, Query(box, far), 60.0, lambda x: None).proven
    near = (far[0], Unsafe(rows[1][None], np.array([least[1] + 0.1])))
    assert not prove_by_hulls(network, Query(box, near), 60.0, lambda x: None, most_subproblems=200).proven


def test_it_is_for_small_dense_networks_and_halfspaces() -> None:
    graph = graph_of(0, (4, 6, 2))
    network = dense_network_of(graph)
    assert network is not None
    box = InputSet(-np.ones(4), np.ones(4))
    both = Query(box, (Unsafe(np.eye(2), np.zeros(2)),))
    assert not may_use_hulls(network, both)
    with pytest.raises(InputError, match="neuron-hulls is for"):
        verify(Network.of(graph), both, 5.0, "neuron-hulls")
    assert not isinstance(verify(Network.of(graph), both, 5.0), Unknown)


@given(
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=3, max_size=3),
    st.floats(-3, 3).map(lambda x: round(x, 3)),
    st.integers(0, 2**16),
)
def test_no_input_of_the_halfspace_is_cut_off(weight: list[float], bias: float, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    low = torch.randn(3, generator=draws, dtype=torch.float64)
    high = low + torch.rand(3, generator=draws, dtype=torch.float64)
    w = torch.tensor(weight, dtype=torch.float64)
    cut = cut_by_halfspace(w, torch.tensor(bias, dtype=torch.float64), low, high)
    x = low + torch.rand(500, 3, generator=draws, dtype=torch.float64) * (high - low)
    corners = torch.cartesian_prod(*(torch.stack([a, b]) for a, b in zip(low, high, strict=True)))
    x = torch.cat([x, corners])
    kept = x[x @ w + bias >= 0]
    if cut is None:
        assert not len(kept)
        return
    assert bool(((kept >= cut[0]) & (kept <= cut[1])).all())
    assert bool(((cut[0] >= low) & (cut[1] <= high)).all())


def test_ascent_stops_above_what_rounding_takes() -> None:
    """Of outputs of the order 1e9 rounding takes more than any fixed number that would do elsewhere."""
    graph = graph_of(0, (5, 8, 2))
    network = dense_network_of(graph)
    assert network is not None
    large = DenseNetwork((network.weights[0], 1e9 * network.weights[1]), (network.biases[0], 1e9 * network.biases[1]))
    row = np.array([1.0, -1.0])
    box = InputSet(-np.ones(5), np.ones(5))
    (root,) = (splitting := HullSplitting(large, Query(box, (Unsafe(row[None], np.zeros(1)),)))).roots()
    problem = splitting._problem([root])
    crown = float(bound_by_hulls(problem, problem.triangles(), rounded=False)[0])
    query = Query(box, (Unsafe(row[None], np.array([np.nextafter(crown, -np.inf)])),))  # just above 0 where it begins
    result = prove_by_hulls(large, query, 60.0, lambda x: None)
    assert result.proven
    assert result.subproblems == 1
