"""What is asked of probabilities is answered of logits: both ways, and with margins of log-odds."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logit, softmax

from cases import first
from queries import softmax_network
from surefoot.graph.graph import evaluate
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.run import verify


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_thresholds_near_an_extreme_are_decided_both_ways(seed: int, log: bool) -> None:
    net = softmax_network(seed, log)
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


@pytest.mark.parametrize("method", ["auto", "crown", "relu-splitting"])
@pytest.mark.parametrize("seed", first(2, range(6)))
def test_the_margin_of_a_threshold_is_one_of_log_odds(seed: int, method: str) -> None:
    net = softmax_network(seed, log=False)
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
