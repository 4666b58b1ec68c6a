"""Softmax and its complement against 50 digits."""

import mpmath
import numpy as np
import pytest

from surefoot.core.numerics import log_probs_and_complements, log_softmax, softmax


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
