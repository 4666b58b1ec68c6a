"""Binary calibrators: the laws of all, and each against its definition or another library."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from surefoot.core.errors import InputError
from surefoot.recalibrate import BBQ, BINARY, Beta, Histogram, Isotonic, Platt, ScalingBinning, Spline, VennAbers
from surefoot.recalibrate.binary import blocks_of
from surefoot.recalibrate.curves import LogOddsCurve

ALL = {name: (Spline(least_rows=1) if name == "spline" else make()) for name, make in BINARY.items()}
GRID = np.linspace(0, 1, 301)


def sample(seed, n, ties=False, power=2.0):
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    correct = rng.random(n) < score**power
    return (score.round(1) if ties else score), correct


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 1000), n=st.integers(1, 60), ties=st.booleans())
def test_values_are_probabilities_that_rise_as_claimed_and_order_of_rows_is_nothing(name, seed, n, ties):
    score, correct = sample(seed, n, ties)
    curve = ALL[name].fit(score, correct)
    values = curve(GRID)
    assert ((values >= 0) & (values <= 1)).all()
    if ALL[name].rises:
        assert (np.diff(values) >= -1e-12).all()
    order = np.random.default_rng(seed).permutation(n)
    assert np.allclose(ALL[name].fit(score[order], correct[order])(GRID), values, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("score", "correct"),
    [
        ([0.5], [True]), ([0.0], [False]), ([1.0] * 5, [True] * 5), ([1.0] * 5, [False] * 5),
        ([0.0, 1.0], [True, False]),
        ([0.3] * 400, [True, False] * 200), ([1e-300, 1.0 - 1e-16] * 200, [False, True] * 200),
        ([0.1, 0.9] * 300, [True, False] * 300),
    ],
)  # fmt: skip
def test_hard_cases(name, score, correct):
    values = ALL[name].fit(np.array(score), np.array(correct))(np.array([0.0, 1e-300, 0.3, 0.5, 1.0]))
    assert np.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()


def test_isotonic_is_scikit_learns_but_for_its_pseudo_rows():
    for seed in range(5):
        score, correct = sample(seed, 300, ties=seed % 2 == 1)
        expected = IsotonicRegression(out_of_bounds="clip").fit(score, correct).predict(GRID)
        assert np.allclose(Isotonic(0).fit(score, correct)(GRID), expected, atol=1e-9)
        gentle = Isotonic().fit(score, correct)(GRID)
        assert np.abs(gentle - expected).max() < 0.5
        assert gentle.min() > 0


def test_platt_is_scikit_learns_on_the_log_odds():
    score, correct = sample(0, 500)
    inner = GRID[1:-1]
    expected = _SigmoidCalibration().fit(logit(score), correct.astype(int)).predict(logit(inner))
    assert np.allclose(Platt().fit(score, correct)(inner), expected, atol=1e-3)


@pytest.mark.parametrize("power", [0.3, 2.0, -1.0])
def test_beta_is_the_constrained_optimum(power):
    score, correct = sample(1, 800, power=2.0)
    score = 1 - score if power < 0 else score**power

    def loss(theta):
        a, b, c = theta
        z = a * np.log(score) - b * np.log1p(-score) + c
        return np.logaddexp(0, z).sum() - z[correct].sum() + 5e-4 * (a * a + b * b + c * c)

    best = minimize(loss, [1.0, 1.0, 0.0], bounds=[(0, None), (0, None), (None, None)]).fun
    curve = Beta().fit(score, correct)
    assert isinstance(curve, LogOddsCurve)
    assert loss([curve.a, curve.b, curve.c]) <= best + 0.05
    assert min(curve.a, curve.b) >= 0


def test_histograms_hold_the_share_of_each_bin():
    score, correct = sample(2, 1000)
    equal = Histogram(10, pseudo_rows=0).fit(score, correct)
    ranked = np.argsort(score)
    for j in range(10):
        rows = ranked[100 * j : 100 * (j + 1)]
        assert np.allclose(equal(score[rows]), correct[rows].mean())
    wide = Histogram(4, equal_mass=False, pseudo_rows=0).fit(score[score < 0.6], correct[score < 0.6])
    inside = (score > 0.25) & (score <= 0.5)
    assert np.allclose(wide(score[inside]), correct[inside].mean())
    assert wide(np.array([0.9]))[0] == 0.875  # empty: its middle
    wrong: tuple[Any, ...] = (0, -1, True, 2.5)
    for bins in wrong:
        with pytest.raises((InputError, TypeError), match=r"bins"):
            Histogram(bins).fit(score, correct)


def test_scaling_binning_has_the_mean_of_the_curve_in_each_bin():
    score, correct = sample(3, 900)
    curve, platt = ScalingBinning(9).fit(score, correct), Platt().fit(score, correct)
    ranked = np.argsort(score)
    for j in range(9):
        rows = ranked[100 * j : 100 * (j + 1)]
        assert np.allclose(curve(score[rows]), platt(score[rows]).mean())


def test_bbq_averages_and_is_smoother_than_its_best_histogram():
    score, correct = sample(4, 2000)
    error = np.abs(BBQ().fit(score, correct)(GRID) - GRID**2).mean()
    assert error < 0.05
    assert len(np.unique(BBQ().fit(score, correct)(GRID))) > 10


@given(seed=st.integers(0, 2000), n=st.integers(1, 12))
def test_venn_abers_by_adding_the_score_as_a_miss_and_as_a_hit(seed, n):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 6, n) / 8 + 0.1
    correct = rng.random(n) < score
    curve = VennAbers().fit(score, correct)

    def added(x, label):
        blocks = blocks_of(np.r_[score, x], np.r_[correct, label])
        y = isotonic_regression(blocks.correct / blocks.count, weights=blocks.count).x
        return y[blocks.score == x][0]

    for x in np.r_[score, rng.random(5)]:
        p0, p1 = added(x, False), added(x, True)
        assert curve(np.array([x]))[0] == pytest.approx(p1 / (1 - p0 + p1), abs=1e-12)


def test_log_odds_are_exact_near_the_ends():
    curve, tiny = Platt().fit(*sample(5, 200)), np.array([1e-12])
    assert isinstance(curve, LogOddsCurve)
    assert curve(tiny)[0] == pytest.approx(expit(curve.a * logit(1e-12) + curve.c))
