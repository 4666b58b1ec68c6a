"""Vector and matrix scaling: at the optimum of their own objective, never worse than the temperature on their rows."""

import numpy as np
import pytest

from surefoot.core.numerics import log_softmax, softmax
from surefoot.recalibrate import MatrixScaling, TemperatureScaling, VectorScaling


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
    for make in (VectorScaling(l2=1e12), MatrixScaling(l2=1e12, off_diagonal=1e12)):
        assert np.allclose(make.fit(logits, labels).predict_proba(logits), expected, atol=1e-6)


def test_gradient_vanishes_at_the_fit():
    logits, labels = sample()
    fitted = VectorScaling(l2=1e-6).fit(logits, labels)
    probs = np.exp(log_softmax(logits * fitted.weight_ + fitted.bias_))
    probs[np.arange(len(labels)), labels] -= 1
    assert np.abs(probs.mean(0)).max() < 1e-4
    assert np.abs((probs * logits).mean(0)).max() < 1e-3


@pytest.mark.parametrize(
    "make", [VectorScaling(l2=0.0), VectorScaling(l2=-1.0), MatrixScaling(off_diagonal=float("nan"))]
)
def test_penalties_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="must be a positive finite number"):
        make.fit(*sample(50))
