"""Questions about two networks side by side: as questions about their difference they are the same, and are decided."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pairs import KINDS, graph_of, network_of, on_a_line, twin_of
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Relu
from surefoot.graph.passes.joined import joined
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.joined_pair import joined_pair_of
from surefoot.verify.network import Network
from surefoot.verify.run import verify

LINE = InputSet(np.array([-1.0]), np.array([1.0]))


def side_by_side(first: Graph, second: Graph, size: int) -> Graph:
    return joined([(first, range(size)), (second, range(size))], size)


def differ(most: float, k: int) -> tuple[Unsafe, ...]:
    rows = np.concatenate([np.eye(k), -np.eye(k)], 1)
    return tuple(Unsafe(sign * rows[i : i + 1], np.array([-most])) for i in range(k) for sign in (1.0, -1.0))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from([0.9, 1.1]))
def test_verdicts_are_those_of_exact_arithmetic(seed: int, kind: str, times: float) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (1, *rng.integers(2, 5, int(rng.integers(1, 3))).tolist(), 2))
    second = twin_of(rng, first, kind)
    true = max(abs(v) for _, y in on_a_line((first, second), -1.0, 1.0) for v in y[:2] - y[2:])
    most = max(times * float(true), 1e-3)
    both = Network.of(side_by_side(graph_of(first), graph_of(second), 1))
    verdict = verify(both, Query(LINE, differ(most, 2)), 3.0, float32=False)
    if true >= Fraction(most):
        assert not isinstance(verdict, Holds)
    if true < Fraction(0.999 * most):
        assert not isinstance(verdict, Violated)
    if kind in ("noise", "one weight", "pruned") and float(true) > 1e-2:
        assert isinstance(verdict, Holds if times > 1 else Violated)


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_differences_say_what_rows_of_outputs_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (3, 4, 2))
    graph = side_by_side(graph_of(first), graph_of(twin_of(rng, first, "noise")), 3)
    rows = rng.integers(-3, 4, (4, 4)).astype(float)
    rows[0] = [1, 0, -1, 0]
    query = Query(InputSet(np.zeros(3), np.ones(3)), (Unsafe(rows, rng.normal(size=4)),))
    found = joined_pair_of(graph, query)
    assert found is not None
    y = evaluate(graph, torch.from_numpy(rng.normal(size=(10, 3)))).numpy()
    as_differences = np.concatenate([y[:, :2], y[:, :2] - y[:, 2:]], 1)
    np.testing.assert_allclose(as_differences @ found.query.unsafe[0].weights.T, y @ rows.T, atol=1e-12)


def test_what_is_no_pair_or_no_question_of_differences_is_not_read() -> None:
    rng = np.random.default_rng(0)
    first = network_of(rng, (2, 3, 1))
    graph, wide = graph_of(first), graph_of(network_of(rng, (2, 4, 1)))
    square = InputSet(np.zeros(2), np.ones(2))
    about = Query(square, differ(0.1, 1))
    assert joined_pair_of(side_by_side(graph, graph_of(twin_of(rng, first, "noise")), 2), about) is not None
    of_one = Query(square, (Unsafe(np.array([[1.0, 0.0]]), np.zeros(1)),))
    rounded = Query(square, (Unsafe(np.array([[1.0, -1.0], [1.0, 1e-20]]), np.zeros(2)),))
    swapped = joined([(graph, [0, 1]), (graph, [1, 0])], 2)
    builder = GraphBuilder((2,))
    plain = builder.build(builder.add(Relu(), 0))
    for network, query in (
        (side_by_side(graph, wide, 2), about),
        (swapped, about),
        (plain, about),
        (side_by_side(graph, graph_of(twin_of(rng, first, "noise")), 2), of_one),
        (side_by_side(graph, graph_of(twin_of(rng, first, "noise")), 2), rounded),
    ):
        assert joined_pair_of(network, query) is None
