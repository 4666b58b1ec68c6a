"""The kernel test: its statistic by brute force, its size and power by simulation."""

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.metrics import kernel_test


def sample(seed, n=120, k=3, shift=0.0):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(k), size=n)
    truth = (1 - shift) * probs + shift / k
    return probs, (truth.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)


def test_the_statistic_is_the_mean_over_pairs():
    probs, labels = sample(0, n=30)
    error = np.eye(3)[labels] - probs
    distance = np.abs(probs[:, None] - probs).sum(2) / 2
    width = np.median(distance[np.triu_indices(30, 1)])
    pairs = np.exp(-distance / width) * (error @ error.T)
    np.fill_diagonal(pairs, 0)
    assert kernel_test(probs, labels).error == pytest.approx(pairs.sum() / (30 * 29))


def test_it_rejects_as_often_as_it_says_and_sees_what_is_wrong():
    calibrated = [kernel_test(*sample(seed), draws=60, seed=seed).pvalue <= 0.05 for seed in range(300)]
    assert 0.02 < np.mean(calibrated) < 0.09
    wrong = [kernel_test(*sample(seed, shift=0.6), draws=60, seed=seed).pvalue <= 0.05 for seed in range(40)]
    assert np.mean(wrong) > 0.6


def test_one_row_and_ties():
    with pytest.raises(InputError, match="at least two rows"):
        kernel_test([[0.5, 0.5]], [0])
    assert kernel_test([[0.5, 0.5]] * 50, [0, 1] * 25).pvalue > 0.05
    assert kernel_test([[0.5, 0.5]] * 50, [0] * 50).pvalue < 0.01
    assert kernel_test([[1.0, 0.0]] * 3, [0] * 3).pvalue == 1.0
    found = kernel_test(*sample(0, n=400), rows=100)
    assert found.rows == 100
