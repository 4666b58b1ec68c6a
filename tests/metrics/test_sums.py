"""The fast readings of many sums are those of each sum."""

import pickle

import numpy as np
import pytest

from probability_tables import table
from surefoot.metrics import METRICS


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.of_sums is not None])
@pytest.mark.parametrize("ties", [False, True])
def test_of_sums_is_reading_each(name, ties):
    metric, rng = METRICS[name], np.random.default_rng(0)
    probs, labels = table(0, n=120)
    if ties:
        probs = np.maximum((8 * probs).round(), 0) + 1
        probs /= probs.sum(1, keepdims=True)
    tallies = [metric.observe(probs[i : i + 10], labels[i : i + 10]) for i in range(0, 120, 10)]
    weights = rng.exponential(size=(30, 12)) * (rng.random((30, 12)) < 0.7)
    weights[:, 0] += 0.1
    expected = [metric.read(tally) for tally in tallies[0].recombine(tallies, weights)]
    assert metric.of_sums is not None
    assert metric.of_sums(tallies, weights) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_ks_of_tallies_in_cells():
    metric, rng = METRICS["ks"], np.random.default_rng(0)
    probs, labels = table(0, n=120)
    tallies = [metric.observe(probs[i : i + 10], labels[i : i + 10]) for i in range(0, 120, 10)]
    tallies[3] = tallies[3].coarse()
    weights = rng.exponential(size=(5, 12))
    expected = [metric.read(tally) for tally in tallies[0].recombine(tallies, weights)]
    assert metric.of_sums is not None
    assert metric.of_sums(tallies, weights) == pytest.approx(expected, rel=1e-12)


def test_ks_where_confidences_are_0_and_1():
    metric = METRICS["ks"]
    probs, labels = np.eye(2)[[0, 1] * 20], np.array([0, 1, 1, 0] * 10)
    tallies = [metric.observe(probs[i : i + 2], labels[i : i + 2]) for i in range(0, 40, 2)]
    weights = np.random.default_rng(0).exponential(size=(5, 20))
    expected = [metric.read(tally) for tally in tallies[0].recombine(tallies, weights)]
    assert metric.of_sums is not None
    assert metric.of_sums(tallies, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_travel_to_other_processes(name):
    assert pickle.loads(pickle.dumps(METRICS[name])) == METRICS[name]
