"""Polytopes hold what thresholds mean, and halving proves what is true, and nothing else."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logit, softmax

from networks import random_network
from surefoot.core.deadline import Deadline
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu, Softmax
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.softmax import flat_output
from surefoot.spec.input_set import InputSet
from surefoot.spec.outputs import of_logits
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.network import Network
from surefoot.verify.probabilities import halved, polytopes
from surefoot.verify.run import verify


@pytest.mark.parametrize("seed", range(12))
def test_polytopes_hold_the_sets_that_they_stand_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = pools_as_relus(flat_output(random_network(seed)))
    d, k = int(np.prod(graph.input_shape)), graph.output_shape[0]
    if k < 3:
        pytest.skip("two classes need no thresholds")
    centre = rng.normal(size=d)
    lower, upper = centre - 0.3, centre + 0.3
    x = torch.from_numpy(rng.uniform(lower, upper, (3000, d))).reshape(-1, *graph.input_shape)
    z = evaluate(graph, x).numpy()
    p = softmax(z, axis=1)
    for sign in (1.0, -1.0):
        for c in np.quantile(p[:, 0], [0.001, 0.3, 0.999]):
            query = Query(InputSet(lower, upper), (Unsafe(sign * np.eye(k)[:1], np.array([sign * c])),))
            found = polytopes(graph, query, of_logits(query, "softmax").sets)
            inside = np.any([(z @ u.weights.T <= u.bounds).all(1) for u in found], axis=0)
            assert inside[query.slack(p) <= 0].all()


def network(seed: int, log: bool) -> Network:
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((2,))
    last = builder.add(Relu(), builder.add(Linear(torch.from_numpy(rng.normal(size=(5, 2)))), 0))
    last = builder.add(Linear(torch.from_numpy(2 * rng.normal(size=(3, 5)))), last)
    return Network.of(builder.build(builder.add(Softmax(log), last)))


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_thresholds_near_an_extreme_are_decided_both_ways(seed: int, log: bool) -> None:
    net = network(seed, log)
    axes = np.linspace(-0.5, 0.5, 201)
    x = torch.from_numpy(np.stack(np.meshgrid(axes, axes), -1).reshape(-1, 2))
    z = evaluate(net.pooled, x).numpy()
    y = (log_softmax if log else softmax)(z, axis=1)
    lower, upper = np.full(2, -0.5), np.full(2, 0.5)
    for sign in (1.0, -1.0):
        least = float((sign * y[:, 1]).min())
        for bound, kind in ((least - 0.02, Holds), (least + 0.001, Violated)):
            asked = Query(InputSet(lower, upper), (Unsafe(sign * np.eye(3)[1:2], np.array([bound])),))
            found = verify(net, asked, 60.0)
            assert isinstance(found, kind), (sign, bound, found)
            if isinstance(found, Holds):
                assert not found.float32  # a softmax in float32 rounds as it likes


def test_halving_says_nothing_when_time_is_up_or_something_breaks() -> None:
    net = network(0, log=False)
    asked = Query(InputSet(np.full(2, -0.5), np.full(2, 0.5)), (Unsafe(np.eye(3)[:1], np.array([1e-12])),))
    sets = of_logits(asked, "softmax").sets
    assert halved(net.pooled, asked, sets, Deadline.of(10.0), lambda x: None) > 0
    assert halved(net.pooled, asked, sets, Deadline.of(-1.0), lambda x: None) == -np.inf
    broken = Query(asked.inputs, (Unsafe(np.eye(3)[:1], np.array([0.999])),))
    assert halved(net.pooled, broken, of_logits(broken, "softmax").sets, Deadline.of(10.0), lambda x: x) == -np.inf


@pytest.mark.parametrize("method", ["auto", "crown", "relu-splitting"])
@pytest.mark.parametrize("seed", range(6))
def test_the_margin_of_a_threshold_is_one_of_log_odds(seed: int, method: str) -> None:
    net = network(seed, log=False)
    rng = np.random.default_rng(seed)
    lower, upper = np.full(2, -0.05), np.full(2, 0.05)
    z = evaluate(net.pooled, torch.from_numpy(rng.uniform(lower, upper, (2000, 2)))).numpy()
    odds = logit(softmax(z, axis=1))
    for at_most in (True, False):
        for far in (0.3, 2.0, 8.0, 40.0):
            for j in range(3):
                level = odds[:, j].min() - far if at_most else odds[:, j].max() + far
                sign, threshold = (1.0 if at_most else -1.0), expit(level)
                if not 0 < threshold < 1 - 1e-9:
                    continue
                unsafe = Unsafe(sign * np.eye(3)[j : j + 1], np.array([sign * threshold]))
                verdict = verify(net, Query(InputSet(lower, upper), (unsafe,)), 5, method)
                if isinstance(verdict, Holds):
                    assert verdict.margin <= far * (1 + 1e-6)
