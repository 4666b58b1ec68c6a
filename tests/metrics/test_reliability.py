"""Binned readings against brute force and the reference's definitions."""

import math
from itertools import pairwise

import numpy as np
import pytest

from probability_tables import reference_ece, table
from surefoot.metrics import observe_classwise, observe_ranking, observe_reliability
from surefoot.metrics.classwise import read_classwise_ece
from surefoot.metrics.ranking import (
    read_adaptive_ece,
    read_adaptive_ece_parity,
)
from surefoot.metrics.reliability import observe_confidence, read_debiased_ece, read_ece, read_mce, read_rmsce

pytestmark = pytest.mark.usefixtures("loops")  # both paths


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binned_readings(seed, dtype):
    probs, labels = table(seed, dtype=dtype)
    confidence, correct = probs.max(1).astype(np.float64), (probs.argmax(1) == labels).astype(np.float64)
    edges = np.linspace(0, 1, 16).astype(dtype)
    tally = observe_reliability(probs, labels)
    assert read_ece(tally) == pytest.approx(reference_ece(confidence, correct, edges), abs=1e-6)
    gaps, shares = [], []
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gaps.append(abs(confidence[inside].mean() - correct[inside].mean()))
            shares.append(inside.mean())
    assert read_mce(tally) == pytest.approx(max(gaps))
    assert read_rmsce(tally) == pytest.approx(math.sqrt(np.dot(shares, np.square(gaps))))
    columns = [reference_ece(probs[:, j].astype(float), (labels == j).astype(float), edges) for j in range(5)]
    assert read_classwise_ece(observe_classwise(probs, labels)) == pytest.approx(np.mean(columns), abs=1e-6)
    edges = np.interp(np.linspace(0, 500, 16), np.arange(500), np.sort(confidence))
    parity = read_adaptive_ece_parity(observe_ranking(probs, labels))
    assert parity == pytest.approx(reference_ece(confidence, correct, edges), abs=1e-6)
    # without ties the corrected reading differs by the one row that the reference drops
    assert read_adaptive_ece(observe_ranking(probs, labels)) == pytest.approx(parity, abs=1.01 / 500)


def test_exactly_one_and_exactly_zero_are_in_the_outer_bins():
    tally = observe_confidence([1.0, 1.0, 0.97, 0.96], [1, 0, 1, 1])
    assert read_ece(tally) == pytest.approx(abs((1 + 1 + 0.97 + 0.96) - 3) / 4)
    assert read_ece(observe_confidence([0.0], [1])) == 1.0


def test_debiased_ece_is_nearer_the_truth():
    rng = np.random.default_rng(1)
    plain, debiased = [], []
    for _ in range(200):
        s = rng.uniform(0.5, 0.95, 1000)
        tally = observe_confidence(s, rng.random(1000) < s - 0.03)
        plain.append(read_ece(tally))
        debiased.append(read_debiased_ece(tally))
    assert np.mean(plain) > 0.04
    assert np.mean(debiased) == pytest.approx(0.03, abs=0.006)


def test_float64_sums_where_float32_drifts():
    n = 10_000_000
    confidence = np.full(n, 0.9, dtype=np.float32)
    correct = np.zeros(n, dtype=bool)
    correct[: int(n * 0.8)] = True
    assert read_ece(observe_confidence(confidence, correct)) == pytest.approx(0.1, abs=1e-6)
