"""Logarithms of what calibrators give."""

import mpmath
import numpy as np
import pytest

from surefoot.core.numerics import softmax
from surefoot.recalibrate import CALIBRATORS, EnsembleTemperatureScaling, Identity, with_priors
from surefoot.recalibrate.log_probs import log_scores, scored_by
from surefoot.recalibrate.steps import Mix, Softmax, TopCurve, scaling

Z = np.random.default_rng(0).normal(size=(300, 3))
Y = (Z / 2 + np.random.default_rng(1).gumbel(size=Z.shape)).argmax(1)


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_they_are_those_of_the_probabilities(name):
    made = CALIBRATORS[name]().fit(Z, Y)
    probs = made.predict_proba(Z)
    assert np.allclose(np.exp(made.predict_log_proba(Z)), probs, atol=1e-14)
    batch = made.predict_scored(Z)
    assert np.allclose(batch.probs, probs, atol=1e-14)
    assert np.allclose(batch.log_of(Y), np.log(probs[np.arange(len(Y)), Y]), rtol=1e-9)


def test_huge_margins_keep_their_logarithm():
    far = np.array([[0.0, 9000.0, 0.0]])
    weights = np.array([0.25, 0.75])
    steps = (Mix(weights, (scaling(3.0), (Softmax(),))),)
    with mpmath.workdps(50):
        right = float(mpmath.log(mpmath.mpf("0.25") * mpmath.exp(-3000)))
    assert scored_by(steps, far).log_of(np.array([0]))[0] == pytest.approx(right, rel=1e-12)
    moved = with_priors(Identity().fit(Z, Y), [0.5, 0.25, 0.25], [0.25, 0.5, 0.25])
    assert moved.predict_log_proba(far)[0, 0] == pytest.approx(-9000 + np.log(0.25), rel=1e-12)
    ensemble = EnsembleTemperatureScaling().fit(Z, Y)
    assert np.isfinite(ensemble.predict_log_proba(far)).all()


def test_a_curve_loses_them():
    made = CALIBRATORS["top-platt"]().fit(Z, Y)
    assert isinstance(made.steps_[-1], TopCurve)
    assert log_scores(made.steps_, Z) is None
    assert np.array_equal(scored_by((Softmax(),), Z).probs, softmax(Z))
