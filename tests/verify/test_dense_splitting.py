"""Input splitting of dense networks: what is cut off is safe, verdicts agree with samples and with other methods."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from networks import samples
from queries import asked, folded
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, evaluate
from surefoot.reach.dense import DenseNetwork, dense_network_of
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.dense_splitting import DensePart, cut_box, prove_dense
from surefoot.verify.input_splitting import prove_by_input_splitting


def question(seed: int, rows: int, share: float) -> tuple[Graph, DenseNetwork, Query]:
    """Ask of a folded network over a cube what is missed by a share of the range of the slack, nearly."""
    graph = folded(seed)
    query = replace(asked(graph, seed, rows), inputs=InputSet(-np.ones(3), np.ones(3)))
    slack = query.slack(outputs(graph, query, seed))
    by = float(slack.min() - share * (slack.max() - slack.min()))
    unsafe = tuple(Unsafe(u.weights, u.bounds + by) for u in query.unsafe)
    network = dense_network_of(graph)
    assert network is not None
    return graph, network, replace(query, unsafe=unsafe)


def outputs(graph: Graph, query: Query, seed: int, count: int = 5000) -> np.ndarray:
    """Evaluate samples of the region."""
    return evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, count, seed)).numpy()


@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.0, 0.1, 2.0]))
def test_what_is_cut_off_misses_the_set_by_the_margin(seed: int, rows: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    low = torch.from_numpy(rng.normal(size=(4, 3)))
    high = low + torch.from_numpy(rng.random((4, 3)) * (rng.random((4, 3)) < 0.8))
    lines = torch.from_numpy(rng.normal(size=(4, rows, 3)) * (rng.random((4, rows, 3)) < 0.8))
    bounds = torch.from_numpy(rng.normal(size=(4, rows)))
    lo, hi = cut_box(low, high, bounds, lines, torch.full((4,), margin).double())
    assert bool((lo >= low).all())
    assert bool((hi <= high).all())
    x = low.unsqueeze(1) + torch.from_numpy(rng.random((4, 300, 3))) * (high - low).unsqueeze(1)
    end = torch.where(lines > 0, low.unsqueeze(1), high.unsqueeze(1))
    least = bounds.unsqueeze(1) + ((x.unsqueeze(2) - end.unsqueeze(1)) * lines.unsqueeze(1)).sum(3)
    kept = ((x >= lo.unsqueeze(1)) & (x <= hi.unsqueeze(1))).all(2)
    assert bool((kept | (least.amax(2) >= margin - 1e-12)).all())
    tight = ((bounds.unsqueeze(2) + lines.abs() * (high - low).unsqueeze(1) > margin) & (lines != 0)).any(1)
    assert bool((((lo > low) | (hi < high)) == tight).all())


def test_what_is_no_number_cuts_nothing_off() -> None:
    low, high = torch.zeros(2, 2).double(), torch.ones(2, 2).double()
    for bound, line in ((torch.nan, 1.0), (-torch.inf, 1.0), (-0.5, torch.nan), (0.0, 0.0)):
        bounds, lines = torch.full((2, 1), bound).double(), torch.full((2, 1, 2), line).double()
        lo, hi = cut_box(low, high, bounds, lines, torch.zeros(2).double())
        assert torch.equal(lo, low)
        assert torch.equal(hi, high)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rows", [1, 2])
def test_what_holds_is_proven_with_a_margin_that_no_input_is_below(seed: int, rows: int) -> None:
    graph, network, query = question(seed, rows, 0.05)
    found = prove_dense(network, query, 30, lambda _: None)
    least = query.slack(outputs(graph, query, seed + 1)).min()
    assert found.margin <= least
    if found.result.proven:
        assert found.margin > 0
    else:  # samples missed a counterexample, or it is near: then no other method proves it either
        assert not prove_by_input_splitting(graph, query, REAL, 5, lambda _: None).proven


@pytest.mark.parametrize("seed", range(8))
def test_what_does_not_hold_is_not_proven_and_its_counterexample_is_met(seed: int) -> None:
    graph, network, query = question(seed, 1, -0.01)

    def replay(x: torch.Tensor) -> torch.Tensor | None:
        slack = query.slack(evaluate(graph, x.reshape(-1, 3)).numpy())
        return x[int(slack.argmin())] if slack.min() <= 0 else None

    assert prove_dense(network, query, 30, replay).result.counterexample is not None
    blind = prove_dense(network, query, 30, lambda _: None, most_subproblems=300)
    assert not blind.result.proven
    assert blind.margin <= 0


@pytest.mark.parametrize("seed", range(4))
def test_a_proof_for_float32_is_one_of_float32(seed: int) -> None:
    _, network, query = question(seed, 1, 0.3)
    found = prove_dense(network, query, 30, lambda _: None)
    assert found.result.proven
    assert found.holds_in_float32()
    assert not prove_dense(network, query, 30, lambda _: None, float32=False).holds_in_float32()
    shifted = tuple(Unsafe(u.weights, u.bounds + found.margin * (1 - 1e-9)) for u in query.unsafe)
    narrow = prove_dense(network, replace(query, unsafe=shifted), 30, lambda _: None, most_subproblems=2000)
    assert narrow.margin <= query.slack(outputs(folded(seed), query, seed)).min()


def test_few_open_boxes_are_kept_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.verify.dense_splitting.MOST_KNOWN", 4 * 32 * 8)
    for seed in range(4):
        graph, network, query = question(seed, 1, 0.05)
        found = prove_dense(network, query, 30, lambda _: None)
        assert found.margin <= query.slack(outputs(graph, query, seed)).min()
        assert all(isinstance(leaf, DensePart) and leaf.known is None for leaf in found.result.leaves)


def test_boxes_that_cannot_be_bisected_are_left_open() -> None:
    _, network, query = question(0, 1, 0.05)
    point = np.zeros(3)
    hopeless = tuple(Unsafe(u.weights, u.bounds + 1e6) for u in query.unsafe)
    found = prove_dense(network, Query(InputSet(point, point), hopeless), 5, lambda _: None)
    assert found.result.why == "nothing is left to branch on"
