"""Smooth ECE against its definition, summed by brute force."""

import numpy as np
import pytest

from surefoot.metrics.reliability import observe_confidence
from surefoot.metrics.smooth import _CELLS, read_smooth_ece


def brute(score, correct):
    """Find s with the integral of |r_s| equal to s, the kernel reflected by summing its images."""
    t = (np.arange(2000) + 0.5) / 2000

    def error(width):
        total = np.zeros(len(t))
        for s, y in zip(score, correct, strict=True):
            images = np.array([s + 2 * m for m in range(-3, 4)] + [-s + 2 * m for m in range(-3, 4)])
            kernel = np.exp(-(((t[:, None] - images) / width) ** 2) / 2).sum(1) / (width * np.sqrt(2 * np.pi))
            total += (y - s) * kernel
        return np.abs(total).mean() / len(score)

    low, high = 1e-3, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    return high


@pytest.mark.parametrize("power", [1.0, 1.6, 3.0, 0.5])
def test_it_is_its_definition(power):
    rng = np.random.default_rng(0)
    score = rng.random(150)
    correct = rng.random(150) < score**power
    found = read_smooth_ece(observe_confidence(score, correct, _CELLS))
    assert found == pytest.approx(brute(score, correct), abs=2e-4)


def test_calibrated_rows_have_little_and_a_constant_gap_is_its_size():
    rng = np.random.default_rng(1)
    score = rng.random(20_000)
    assert read_smooth_ece(observe_confidence(score, rng.random(20_000) < score, _CELLS)) < 0.015
    shifted = np.clip(score * 0.5 + 0.25, 0, 1)
    found = read_smooth_ece(observe_confidence(shifted, rng.random(20_000) < shifted - 0.2, _CELLS))
    assert found == pytest.approx(0.2, abs=0.015)
