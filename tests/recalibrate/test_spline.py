"""The spline: its basis is SciPy's natural spline, the fit better than isotonic, atoms and ties as they should be."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from surefoot.core.errors import InputError
from surefoot.metrics import observe_ranked_confidence
from surefoot.metrics.ranking import read_ks, read_ks_pvalue
from surefoot.recalibrate import Isotonic, Spline
from surefoot.recalibrate.curves import PiecewiseLinear
from surefoot.recalibrate.spline import natural_basis


@pytest.mark.parametrize("knots", [3, 6, 11])
def test_the_basis_is_the_natural_spline(knots):
    rng = np.random.default_rng(0)
    values, t = rng.normal(size=knots), rng.random(200)
    expected = CubicSpline(np.linspace(0, 1, knots), values, bc_type="natural")(t)
    assert np.allclose(natural_basis(t, knots) @ values, expected, atol=1e-12)


@pytest.mark.parametrize("n", [100, 300, 1000, 5000])
@pytest.mark.parametrize("knots", [6, "cv"])
def test_it_is_more_accurate_than_isotonic_on_a_known_map(n, knots):
    errors = []
    for seed in range(30 if n < 5000 else 10):
        rng = np.random.default_rng([seed, n])
        score = rng.random(n)
        correct = rng.random(n) < score**2
        at = rng.random(1000)
        curves = (Spline(knots, least_rows=100).fit(score, correct), Isotonic(0).fit(score, correct))
        errors.append([np.abs(curve(at) - at**2).mean() for curve in curves])
    spline, isotonic = np.mean(errors, 0)
    assert spline < isotonic


def test_what_it_learns_cannot_be_told_from_calibrated():
    rng = np.random.default_rng(1)
    score = 0.5 + rng.random(20_000) / 2
    correct = rng.random(20_000) < score**1.7
    curve = Spline().fit(score[:10_000], correct[:10_000])
    before = observe_ranked_confidence(score[10_000:], correct[10_000:])
    after = observe_ranked_confidence(np.clip(curve(score[10_000:]), 0, 1), correct[10_000:])
    assert read_ks_pvalue(before) < 1e-6
    assert read_ks_pvalue(after) > 0.01
    assert read_ks(after) < 0.01


@pytest.mark.parametrize(("share", "accuracy"), [(0.5, 0.9), (0.1, 0.6), (0.03, 0.95)])
def test_an_atom_gets_its_own_share_of_correct_rows(share, accuracy):
    rng = np.random.default_rng(2)
    n = 10_000
    atom = rng.random(n) < share
    score = np.where(atom, 1.0, 0.3 + 0.65 * rng.random(n))
    correct = rng.random(n) < np.where(atom, accuracy, score)
    curve = Spline().fit(score, correct)
    found = curve(np.array([1.0]))[0]
    rest = curve(np.array([0.5, 0.9]))
    assert abs(rest[0] - 0.5) < 0.05
    if accuracy >= rest[1]:  # else the projection pools the atom with what lies below
        assert found == pytest.approx(correct[atom].mean(), abs=0.02)
    assert (np.diff(curve(np.linspace(0, 1, 500))) >= 0).all()


def test_two_hundred_rows_are_asked_for_and_settings_checked():
    score, correct = np.linspace(0, 1, 150), np.arange(150) % 2 == 0
    with pytest.raises(InputError, match="at least 200 rows to learn from, got 150"):
        Spline().fit(score, correct)
    with pytest.raises(InputError, match="knots must be"):
        Spline(2, least_rows=1).fit(score, correct)


def test_the_map_is_small():
    rng = np.random.default_rng(3)
    score = rng.random(50_000)
    curve = Spline().fit(score, rng.random(50_000) < score)
    assert isinstance(curve, PiecewiseLinear)
    assert len(curve.x) < 300
