"""ReLU splitting of boxes: margins lie below samples, and bisection with it agrees with bisection alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import samples
from queries import asked, folded
from surefoot.core.deadline import NEVER
from surefoot.graph.graph import evaluate
from surefoot.reach.dense import DenseBounds, dense_network_of
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.dense_fallback import DenseFallback
from surefoot.verify.dense_splitting import prove_dense
from surefoot.verify.network import Network
from surefoot.verify.search import Search


def made(seed: int, rows: int, share: float) -> tuple[DenseFallback, Query]:
    """Ask of a folded network over a cube what is missed by a share of the range of the slack, nearly."""
    graph = folded(seed)
    query = replace(asked(graph, seed, rows), inputs=InputSet(-np.ones(3), np.ones(3)))
    slack = query.slack(outputs(seed, -np.ones(3), np.ones(3)))
    by = float(slack.min() - share * np.ptp(slack))
    query = replace(query, unsafe=tuple(Unsafe(u.weights, u.bounds + by) for u in query.unsafe))
    network = dense_network_of(graph)
    assert network is not None
    return DenseFallback(*Search(Network.of(graph), query, 60.0).with_slack_relus(), network, NEVER), query


def outputs(seed: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Evaluate samples of a box."""
    graph = folded(seed)
    return evaluate(graph, samples(low, high, graph, 3000, seed)).numpy()


def bounds_of(fallback: DenseFallback, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Bound all hidden values over a box, for float32 too."""
    over = DenseBounds(fallback.network, low[None], high[None], torch.ones(1, dtype=torch.bool))
    return torch.stack([over.lower[0], over.upper[0]])


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.02, 0.1, 0.5]), st.floats(0.1, 1))
def test_no_input_of_a_box_is_below_its_margin(seed: int, rows: int, share: float, size: float) -> None:
    fallback, query = made(seed % 40, rows, share)
    centre = torch.from_numpy(np.random.default_rng(seed).uniform(size - 1, 1 - size, 3))
    low, high = centre - size, centre + size
    proven = fallback.prove(low, high, bounds_of(fallback, low, high), lambda _: None)
    if proven is None:
        return
    least = query.slack(outputs(seed % 40, low.numpy(), high.numpy())).min()
    assert 0 < proven.margin <= least
    if fallback.holds_in_float32(proven):
        single = evaluate(
            folded(seed % 40).to(torch.float32), samples(low.numpy(), high.numpy(), folded(0), 300, 0).float()
        )
        assert query.slack(single.double().numpy()).min() > 0


@pytest.mark.parametrize("seed", [2, 3])
def test_a_box_with_a_counterexample_is_not_proven(seed: int) -> None:
    fallback, _ = made(seed, 1, -0.05)
    low, high = -torch.ones(3).double(), torch.ones(3).double()
    assert fallback.prove(low, high, bounds_of(fallback, low, high), lambda _: None) is None


@pytest.mark.parametrize(("seed", "rows"), [(0, 1), (1, 1), pytest.param(2, 2, marks=pytest.mark.slow)])
def test_splitting_inputs_with_it_proves_the_same_in_fewer_boxes(
    seed: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surefoot.verify.dense_splitting.FALLBACK_FROM", 1)
    fallback, query = made(seed, rows, 0.02)
    alone = prove_dense(fallback.network, query, 60, lambda _: None)
    both = prove_dense(fallback.network, query, 60, lambda _: None, with_relus=(fallback.graph, fallback.query))
    assert both.margin <= query.slack(outputs(seed, -np.ones(3), np.ones(3))).min()
    assert both.result.proven == alone.result.proven
    assert both.result.subproblems <= alone.result.subproblems
    if any(leaf.proven is not None for leaf in both.result.leaves) and both.holds_in_float32():
        assert alone.holds_in_float32()
