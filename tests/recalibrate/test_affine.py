"""Vector and matrix scaling: at the optimum of their own objective, never worse than the temperature on their rows."""

import numpy as np
import pytest
from scipy.optimize import minimize

from surefoot.core.numerics import log_softmax, softmax
from surefoot.recalibrate import (
    DirichletCalibration,
    MatrixScaling,
    StructuredMatrixScaling,
    TemperatureScaling,
    VectorScaling,
)


def sample(n=2000, k=4):
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(n, k))
    labels = (softmax(logits).cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)
    return logits * [3.0, 1.0, 2.0, 2.0] + [2.0, 0.0, 0.0, -1.0], labels


def nll(probs, labels):
    return -np.log(probs[np.arange(len(labels)), labels]).mean()


def test_more_parameters_fit_the_rows_better():
    logits, labels = sample()
    losses = [
        nll(make.fit(logits, labels).predict_proba(logits), labels)
        for make in (TemperatureScaling(), VectorScaling(), MatrixScaling(off_diagonal=1.0))
    ]
    assert losses[0] > losses[1] > losses[2]


def test_a_strong_penalty_gives_the_temperature_back():
    logits, labels = sample()
    expected = TemperatureScaling().fit(logits, labels).predict_proba(logits)
    assert np.allclose(VectorScaling(l2=1e12).fit(logits, labels).predict_proba(logits), expected, atol=1e-5)


def test_penalties_off_the_diagonal_and_on_the_intercept_hold_those_alone():
    logits, labels = sample()
    affine = MatrixScaling(off_diagonal=1e9, intercept=1e9).fit(logits, labels).as_affine()
    assert affine is not None
    assert np.abs(affine.weight - np.diag(np.diag(affine.weight))).max() < 1e-6
    assert np.abs(affine.bias).max() < 1e-6
    assert np.ptp(np.diag(affine.weight)) > 0.1


@pytest.mark.parametrize("make", [MatrixScaling, DirichletCalibration])
def test_odir_is_at_the_optimum_of_the_published_objective(make):
    logits, labels = sample(n=600)
    k, n = 4, 600
    fitted = make(off_diagonal=0.01, intercept=0.02).fit(logits, labels)
    x = logits if make is MatrixScaling else log_softmax(logits)
    temperature = TemperatureScaling().fit(x, labels).temperature_

    def objective(theta):
        w, b = theta[:-k].reshape(k, k), theta[-k:]
        off = w - np.diag(np.diag(w))
        nll = -log_softmax(x @ w.T / temperature + b)[np.arange(n), labels].mean()
        return nll + 0.01 / (k * (k - 1)) * (off**2).sum() + 0.02 / k * (b**2).sum()

    step = next(s for s in fitted.steps_ if hasattr(s, "weight"))
    found = objective(np.r_[(step.weight * temperature).ravel(), step.bias])
    best = minimize(objective, np.r_[np.eye(k).ravel(), np.zeros(k)], options={"gtol": 1e-8}).fun
    assert found - best < 1e-3  # ours has a prior of a hundredth of a row on the diagonal besides


def test_structured_scaling_is_the_temperature_where_there_is_no_more_to_learn():
    rng = np.random.default_rng(1)
    truth = 1.5 * rng.normal(size=(3000, 6))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    expected = TemperatureScaling().fit(2 * truth, labels).predict_proba(2 * truth)
    found = StructuredMatrixScaling().fit(2 * truth, labels)
    assert np.abs(found.predict_proba(2 * truth) - expected).mean() < 0.01
    assert found.mixing_spread_ < 0.03


def test_gradient_vanishes_at_the_fit():
    logits, labels = sample()
    fitted = VectorScaling(l2=1e-6).fit(logits, labels)
    probs = fitted.predict_proba(logits)
    probs[np.arange(len(labels)), labels] -= 1
    assert np.abs(probs.mean(0)).max() < 5e-4
    assert np.abs((probs * logits).mean(0)).max() < 3e-3


@pytest.mark.parametrize(
    "make", [VectorScaling(l2=0.0), VectorScaling(l2=-1.0), MatrixScaling(off_diagonal=float("nan"))]
)
def test_penalties_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="must be a positive finite number"):
        make.fit(*sample(50))
