"""Questions about the part of a box that rows leave: no wrong verdict, whatever the method."""

import numpy as np
import pytest

from networks import random_network
from surefoot.compress.interior import inside
from surefoot.graph.graph import evaluate
from surefoot.spec.input_set import InputSet, LinearConstraints
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.network import Network
from surefoot.verify.run import verify

METHODS: tuple[str, ...] = ("auto", "crown", "alpha-crown", "relu-splitting", "star", "exact")


def judged(seed: int, method: str, seconds: float) -> str:
    """Ask about a bound near the least value met; see that samples inside agree with the answer."""
    graph, rng = random_network(seed), np.random.default_rng(seed)
    d = int(np.prod(graph.input_shape))
    low = rng.uniform(-1, 0.5, d)
    high = low + rng.uniform(0, 1, d) * (rng.random(d) < 0.8)
    low, high = (end.astype(np.float32).astype(np.float64) for end in (low, high))  # what cannot move is a float32
    rows = rng.normal(size=(1 + seed % 3, d))
    bounds = rows @ (low + rng.random(d) * (high - low)) + 0.05
    inputs = InputSet(low, high, LinearConstraints(rows, bounds))
    x = inside(inputs, graph.input_shape, 1000, seed)
    row = rng.normal(size=(1, int(np.prod(graph.output_shape))))
    y = evaluate(graph, x).flatten(1).numpy() @ row.T
    bound = float(y.min() + rng.choice([-0.5, -0.02, 0.02]) * (np.ptp(y) + 1e-3))
    query = Query(inputs, (Unsafe(row, np.array([bound])),))
    found = verify(Network.of(graph), query, seconds, method)
    if isinstance(found, Holds):
        assert float(y.min()) > bound, (seed, method)
        assert found.margin <= float(y.min()) - bound + 1e-9 * (1 + abs(bound)), (seed, method)
    if isinstance(found, Violated):
        assert inputs.distance(found.input) <= found.distance_to_region < 1e-6
    return type(found).__name__


@pytest.mark.parametrize("method", METHODS)
def test_no_wrong_verdict(method: str) -> None:
    found = [judged(seed, method, 1.0) for seed in range(12)]
    assert "Violated" in found
    if method in ("auto", "relu-splitting"):
        assert found.count("Holds") >= 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_wrong_verdict_in_a_thousand(part: int) -> None:
    for seed in range(100 + 250 * part, 350 + 250 * part):
        for method in ("crown", "relu-splitting"):
            judged(seed, method, 0.5)
