"""Intervals hold what they are for, at the edges too: a few portions of the attack, and the plainest case."""

import numpy as np
import pytest

from fuzz import intervals
from surefoot.metrics import METRICS, measure


@pytest.mark.parametrize("seed", [4])
def test_no_interval_is_false(seed):
    met = intervals.attack(seed, 20)
    assert met.tried > 20
    assert not met.faults


def test_accuracy_of_fifty_rows_is_covered():
    accuracy, covered = METRICS["accuracy"], 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels = (rng.random(50) < 0.01).astype(int)
        reading = measure([(np.tile([0.99, 0.01], (50, 1)), labels)], [accuracy], floors=False)["accuracy"]
        covered += reading.low <= 0.99 <= reading.high
    assert covered >= 95  # of 100; a bootstrap of the rows covers 40


@pytest.mark.parametrize("n", [1, 2, 9])
def test_too_few_rows_are_said_to_be_too_few(n):
    readings = measure([(np.tile([0.9, 0.1], (n, 1)), np.zeros(n, dtype=int))], METRICS.values(), floors=False)
    assert (readings["accuracy"].low, readings["accuracy"].high) == pytest.approx((0.025 ** (1 / n), 1.0))
    for name in ("nll", "ece", "ks", "overconfidence"):
        assert np.isnan([readings[name].low, readings[name].high]).all()
        assert readings[name].note == f"too few rows to tell: {n}, where at least 10 are needed"
    assert readings["auroc"].note == "the reading is not defined on these rows"
    assert readings["ks_pvalue"].note == "this reading has no interval"
