"""Multiclass calibrators of binary ones: against their definitions, class by class and row by row."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from surefoot.core.numerics import softmax
from surefoot.recalibrate import Histogram, Isotonic, OneVsRest, TemperatureScaling, TopLabel
from surefoot.recalibrate.steps import Curves, TopCurve


def sample(seed: int = 0, n: int = 400, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, k))
    return 2 * logits, (logits + rng.gumbel(size=logits.shape)).argmax(1)


@pytest.mark.parametrize("k", [2, 4, 18])  # more classes than are taken at a time
@pytest.mark.parametrize("temperature", [False, True])
def test_one_against_the_rest_is_scikit_learns_isotonic_regression_of_each_class(k: int, temperature: bool) -> None:
    logits, labels = sample(k=k)
    scale = 1 / TemperatureScaling().fit(logits, labels).temperature_ if temperature else 1.0
    probs = softmax(scale * logits)
    curves = [IsotonicRegression(out_of_bounds="clip").fit(p, labels == j) for j, p in enumerate(probs.T)]
    want = np.stack([curve.predict(p) for curve, p in zip(curves, probs.T, strict=True)], 1)
    found = OneVsRest(Isotonic(0), temperature).fit(logits, labels).predict_proba(logits)
    some = want.sum(1) > 1e-9
    assert np.allclose(found[some], (want / want.sum(1, keepdims=True))[some], atol=1e-7)


def test_a_class_that_is_always_or_never_right_keeps_its_scores() -> None:
    """Nothing bounds a curve of a class without positives: its scores stay, before all are divided by their sum."""
    logits, labels = sample()
    labels[labels == 3] = 0
    step = OneVsRest(Histogram(5)).fit(logits, labels).steps_[1]
    assert isinstance(step, Curves)
    scores = np.linspace(0, 1, 11)
    assert np.array_equal(step.curves[3](scores), scores)
    assert not np.array_equal(step.curves[0](scores), scores)


@pytest.mark.parametrize("fit_rest", [False, True])
def test_the_top_label_gets_the_curve_and_the_others_share_the_rest(fit_rest: bool) -> None:
    logits, labels = sample()
    fitted = TopLabel(Histogram(5), fit_rest=fit_rest).fit(logits, labels)
    probs, found = softmax(logits), fitted.predict_proba(logits)
    rows, top = np.arange(len(labels)), probs.argmax(1)
    curve = Histogram(5).fit(probs.max(1), top == labels)
    assert np.array_equal(found.argmax(1), top)
    assert (found[rows, top] >= curve(probs.max(1)) - 1e-12).all()  # more only where it must, to stay on top
    own = np.isclose(found[rows, top], curve(probs.max(1)))
    assert own.mean() > 0.5
    others = np.arange(logits.shape[1]) != top[:, None]
    a, b = (np.log(p[others].reshape(len(rows), -1)) for p in (found, probs))
    slope = (a[:, 0] - a[:, 1]) / (b[:, 0] - b[:, 1])  # the others' odds are raised to one power
    assert np.allclose(slope[own], slope[own][0], rtol=1e-6)
    assert (slope[own][0] == pytest.approx(1.0)) == (not fit_rest)


def test_each_predicted_class_of_enough_rows_has_a_curve_of_its_own() -> None:
    logits, labels = sample(n=1000)
    logits[:, 3] -= 6  # hardly ever predicted
    step = TopLabel(Histogram(3), per_class=True).fit(logits, labels).steps_[1]
    assert isinstance(step, TopCurve)
    probs = softmax(logits)
    score, top = probs.max(1), probs.argmax(1)
    grid = np.linspace(0, 1, 21)
    shared = Histogram(3).fit(score, top == labels)
    for j, curve in enumerate(step.curves):
        own = top == j
        want = Histogram(3).fit(score[own], labels[own] == j) if j != 3 else shared
        assert (own.sum() >= 100) == (j != 3)
        assert np.allclose(curve(grid), want(grid))
