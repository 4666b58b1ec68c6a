"""Curves at their corners, and where a slope or an exponent leaves float64."""

import numpy as np
import pytest
from scipy.special import expit

from surefoot.recalibrate.curves import LogOddsCurve, PiecewiseLinear, StepFunction


def test_a_line_between_two_numbers_next_to_0() -> None:
    line = PiecewiseLinear(np.array([0.0, 1e-310, 1.0]), np.array([0.2, 0.6, 1.0]))
    score = np.array([0.0, 0.5e-310, 1e-310, 0.5, 1.0])
    assert line(score) == pytest.approx(np.array([0.2, 0.4, 0.6, 0.8, 1.0]))


def test_values_stay_between_0_and_1_however_they_are_rounded() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        line = PiecewiseLinear(np.sort(rng.random(3)), rng.choice([0.0, 1.0, rng.random()], 3))
        y = line(np.r_[rng.random(20), np.nextafter(line.x, 0), np.nextafter(line.x, 1)])
        assert y.min() >= 0
        assert y.max() <= 1


def test_log_odds_far_below_0_keep_their_digits() -> None:
    c = np.array([-1000.0, -744.0, -710.0, -50.0, 0.0, 50.0, 800.0])
    found = np.array([LogOddsCurve(0.0, 0.0, x)(np.array([0.5]))[0] for x in c])
    assert found == pytest.approx(np.where(c < -100, np.exp(np.minimum(c, 0.0)), expit(c)), rel=1e-14)


def test_each_curve_knows_between_what_it_stays() -> None:
    assert PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.9, 0.1])).range == (0.1, 0.9)
    assert StepFunction(np.array([0.5]), np.array([-1.0, 2.0])).range == (-1.0, 2.0)
    assert LogOddsCurve(1.0, 2.0, 3.0).range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([0.0, 0.0], [0.0, 1.0], "increases strictly"),
        ([], [], "at least one"),
        ([-1e308, 1e308], [0.0, 1.0], "apart"),
        ([0.0, np.nan], [0.0, 1.0], "finite"),
    ],
)
def test_what_is_no_line(x: list[float], y: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PiecewiseLinear(np.array(x), np.array(y))
