"""Softmax and its complement against 50 digits."""

import mpmath
import numpy as np
import pytest

from surefoot.core.numerics import log_probs_and_complements, log_softmax, softmax, top_scores


@pytest.mark.parametrize(
    "row", [[0.0, 0.0], [60.0, 0.0, -3.0], [-700.0, 0.0, 1.0], [1e-9, 0.0, 0.0], [300.0, 0.0, -5.0]]
)
def test_all_digits_of_p_and_of_1_minus_p(row):
    log_p, log_u = log_probs_and_complements(np.array([row]))
    with mpmath.workdps(400):
        mass = [mpmath.e ** mpmath.mpf(z) for z in row]
        total = mpmath.fsum(mass)
        for i, m in enumerate(mass):
            assert log_p[0, i] == pytest.approx(float(mpmath.log(m / total)), rel=1e-14, abs=1e-300)
            u = mpmath.fsum(mass[:i] + mass[i + 1 :]) / total
            assert log_u[0, i] == pytest.approx(float(mpmath.log(u)), rel=1e-12, abs=1e-300)
    assert softmax(np.array([row])).sum() == pytest.approx(1)
    assert np.array_equal(log_softmax(np.array([row])), log_p)


def test_others_that_underflow_are_finite():
    log_p, log_u = log_probs_and_complements(np.array([[1e4, 0.0, -1e4], [1e300, 0.0, 0.0]]))
    assert np.isfinite(log_p).all()
    assert log_u[0, 0] == pytest.approx(-1e4)


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 16, 17, 700])
@pytest.mark.parametrize("scale", [1.0, 0.3, 20.0])
def test_the_largest_probability_keeps_its_complement(dtype, k, scale):
    rng = np.random.default_rng(0)
    logits = np.concatenate([6 * rng.normal(size=(40, k)), np.zeros((1, k)), 30 * rng.normal(size=(9, k))]).astype(
        dtype
    )
    score, top = top_scores(logits, scale)
    assert np.array_equal(top, logits.argmax(1))
    shifted = scale * (logits.astype(np.float64) - logits.max(1, keepdims=True).astype(np.float64))
    mass = np.exp(shifted)
    mass[np.arange(len(mass)), top] = 0
    others = mass.sum(1)
    known = others > 1e-30
    assert np.allclose(score, 1 / (1 + others), rtol=2e-6)
    lost = np.maximum(others[known] / (1 + others[known]), 1e-12)
    assert (np.abs((1 - score[known]) - others[known] / (1 + others[known])) / lost).max() < 3e-3
