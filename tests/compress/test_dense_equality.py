"""Bounds of pairs of dense networks, and attacks on their difference."""

import numpy as np
import pytest
import torch

from pairs import graph_of, network_of, on_a_line, pair_of, twin_of
from surefoot.compress.dense_equality import (
    attacked,
    bound_by_branching,
    bound_of_pair,
    decide_differences,
    dense_pair_of,
    differ_by,
    outputs_of,
)
from surefoot.core.deadline import Deadline
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Relu
from surefoot.spec.input_set import InputSet, LinearConstraints
from surefoot.spec.query import Holds, Violated

LINE = InputSet(np.array([-1.0]), np.array([1.0]))


@pytest.mark.parametrize("kind", ["noise", "unlike", "pruned"])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_are_not_below_the_exact_largest_difference(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (1, 5, 4, 2))
    pair = pair_of(first, twin_of(rng, first, kind))
    gaps = np.array([y[:2] - y[2:] for _, y in on_a_line((pair.first, pair.second), -1.0, 1.0)])
    true = abs(gaps).max(0)
    assert all(bound >= gap for bound, gap in zip(bound_of_pair(pair, LINE).tolist(), true, strict=True))
    branched, close = bound_by_branching(pair, LINE, Deadline.of(5.0))
    assert close
    assert true.max() <= branched <= 1.3 * float(true.max()) + 1e-6


def test_an_attack_stays_inside_and_brings_the_largest_first() -> None:
    rng = np.random.default_rng(0)
    first = network_of(rng, (3, 6, 2))
    pair = pair_of(first, twin_of(rng, first, "noise"))
    cut = InputSet(np.zeros(3), np.ones(3), LinearConstraints.of([[1, 1, 1]], [1]))
    x = attacked(pair, cut)
    assert float(x.sum(1).max()) <= 1 + 1e-12
    values = outputs_of(pair, x)[:, 2:].abs().amax(1)
    assert bool((values[:-1] >= values[1:]).all())
    sampled = torch.from_numpy(rng.dirichlet(np.ones(4), 2000)[:, :3])
    assert float(values[0]) >= 0.99 * float(outputs_of(pair, sampled)[:, 2:].abs().max())


def test_outputs_are_those_of_the_graphs() -> None:
    rng = np.random.default_rng(1)
    first = network_of(rng, (3, 4, 2))
    second = twin_of(rng, first, "unlike")
    x = torch.from_numpy(rng.normal(size=(20, 3)))
    one, two = (evaluate(graph_of(network), x) for network in (first, second))
    torch.testing.assert_close(outputs_of(pair_of(first, second), x), torch.cat([one, one - two], 1))
    builder = GraphBuilder((2,))
    relu = builder.build(builder.add(Relu(), 0))
    assert dense_pair_of(relu, relu) is None
    assert dense_pair_of(graph_of(first), graph_of(second)) is not None


def test_what_is_met_must_be_confirmed() -> None:
    rng = np.random.default_rng(2)
    first = network_of(rng, (2, 4, 1))
    pair = pair_of(first, twin_of(rng, first, "one weight"))
    square = InputSet(-np.ones(2), np.ones(2))
    met = float(outputs_of(pair, attacked(pair, square))[:, 1:].abs().max())

    def run(x: np.ndarray) -> np.ndarray:
        return outputs_of(pair, torch.from_numpy(x).double()).numpy()

    asked = pair, square, differ_by(0.5 * met, 1)
    assert isinstance(decide_differences(*asked, Deadline.of(5.0), run), Violated)
    refused = decide_differences(*asked, Deadline.of(0.5), run, confirmed=lambda output: False)
    assert not isinstance(refused, Violated | Holds)
