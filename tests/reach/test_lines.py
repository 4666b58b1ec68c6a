"""Lines of any slope lie below and above their function, at 50 digits; intervals and lines of least area are tight."""

import math

import mpmath
import numpy as np
import pytest
import torch

from functions import CASES, DIGITS, Case, bends_of, described, exact, random_intervals
from surefoot.reach.lines import Lines, interval, offset, slopes_of


def points_of(low: float, high: float, case: Case, rng: np.random.Generator, count: int) -> list[float]:
    breaks = [b + d for b in bends_of(described(case)) for d in (-1e-13, 0.0, 1e-13) if low <= b + d <= high]
    inside = np.clip(rng.uniform(size=count) ** rng.choice([1, 4]) * (high - low) + low, low, high)
    return [low, high, *breaks, *inside.tolist()]


def check(case: Case, seed: int, intervals: int, points: int) -> None:
    function, rng = described(case), np.random.default_rng(seed)
    low, high = random_intervals(function, rng, intervals)
    shares = torch.from_numpy(rng.random((2, len(low))))
    ends = interval(function, low, high)
    flat = torch.zeros_like(low)
    drawn = torch.from_numpy(rng.normal(size=len(low)) * np.exp(rng.normal(size=len(low)) * 3))
    all_lines = [
        Lines(flat, ends[0], flat, ends[1]),
        Lines.of(function, low, high, slopes_of(function, low, high)),
        Lines.of(function, low, high, slopes_of(function, low, high), *shares),
        Lines(drawn, -offset(function, drawn, low, high, -1.0), drawn, offset(function, drawn, low, high, 1.0)),
    ]
    for lines in all_lines:
        assert not any(bool(x.isnan().any()) for x in (lines.below, lines.under, lines.above, lines.over))
    with mpmath.workdps(DIGITS):
        for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            for x in points_of(a, b, case, rng, points):
                value = exact(case, x)
                for lines in all_lines:
                    below, under, above, over = (
                        mpmath.mpf(float(t[i])) for t in (lines.below, lines.under, lines.above, lines.over)
                    )
                    assert mpmath.isinf(under) or below * mpmath.mpf(x) + under <= value, (a, b, x)
                    assert mpmath.isinf(over) or value <= above * mpmath.mpf(x) + over, (a, b, x)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lines_hold_at_every_point(case: Case) -> None:
    check(case, 0, 40, 12)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_lines_hold_at_very_many_points(case: Case) -> None:
    for seed in range(1, 11):
        check(case, seed, 100, 20)


@pytest.mark.parametrize("case", [case for case in CASES if case[1] not in ((0.1,), (3.0,))], ids=str)
def test_intervals_are_tight_and_lines_touch(case: Case) -> None:
    function, rng = described(case), np.random.default_rng(3)
    low, high = random_intervals(function, rng, 300)
    kept = (high - low < 30) & (low.abs() < 30)
    low, high = low[kept], high[kept]
    share = torch.linspace(0, 1, 8001, dtype=torch.float64).unsqueeze(1)
    x = torch.cat([torch.minimum(low + (high - low) * share, high), high.unsqueeze(0)])
    y = function.value(x)
    grid = 5e-4 * (y.amax(0) - y.amin(0)) + 1e-11 * (1 + y.abs().amax(0))
    least, greatest = interval(function, low, high)
    assert bool((least >= y.amin(0) - grid).all())
    assert bool((greatest <= y.amax(0) + grid).all())
    lines = Lines.of(function, low, high, slopes_of(function, low, high))
    near = (high - low) <= 10  # of waves more are taken together
    below, above = y - lines.below * x - lines.under, lines.above * x + lines.over - y
    for gap, constant in ((below, y.mean(0) - least), (above, greatest - y.mean(0))):
        assert bool((gap.amin(0) <= 2 * grid)[near].all())
        if function.steps is None:  # no worse than a constant
            assert bool((gap.mean(0) <= constant + 0.02 * (greatest - least) + grid)[near].all())


def test_least_area_is_what_the_best_slope_gives() -> None:
    """Against a fine search over slopes: of the sigmoid, the area between the lines is within 2% of the least."""
    function, rng = described(("Sigmoid", ())), np.random.default_rng(4)
    low, high = random_intervals(function, rng, 100)
    kept = (high - low > 0.1) & (high - low < 40)
    low, high = low[kept], high[kept]
    lines = Lines.of(function, low, high, slopes_of(function, low, high))
    middle = (low + high) / 2
    slopes = torch.linspace(0, 0.25, 2001, dtype=torch.float64).unsqueeze(1)
    best = (slopes * middle + offset(function, slopes, low, high, 1.0)).amin(0)
    least, greatest = interval(function, low, high)
    assert bool((lines.above * middle + lines.over - best <= 0.02 * (greatest - least)).all())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_slopes_can_be_learnt(case: Case) -> None:
    """The gradient of the offset is minus the point where it is reached, by differences."""
    function, rng = described(case), np.random.default_rng(5)
    low, high = random_intervals(function, rng, 100)
    kept = (high - low > 0.1) & (high - low < 8) & (low.abs() < 8)
    low, high = low[kept], high[kept]
    found = slopes_of(function, low, high)
    slope = found.at(torch.full_like(low, 0.37)).requires_grad_()
    (gradient,) = torch.autograd.grad(offset(function, slope, low, high, 1.0).sum(), slope)
    step = 1e-5 * (1 + found.greatest - found.least)
    ahead, behind = (offset(function, (slope + s * step).detach(), low, high, 1.0) for s in (1, -1))
    slack = 0.05 * (high - low)
    right, left = ((b - offset(function, slope.detach(), low, high, 1.0)) / step for b in (ahead, behind))
    assert bool((gradient <= right + slack).all())  # convex in the slope: between one-sided differences
    assert bool((gradient >= -left - slack).all())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_unbounded_or_not_defined_is_never_wrong_and_never_nan(case: Case) -> None:
    function = described(case)
    ends = [-math.inf, -1e308, -1e300, -1e9, -1.0, -1e-310, 0.0, 5e-324, 1.0, 1e9, 1e300, 1e308, math.inf]
    pairs = [(a, b) for a in ends for b in ends if a <= b] + [(math.nan, 1.0), (1.0, -1.0)]
    low, high = (torch.tensor(e, dtype=torch.float64) for e in zip(*pairs, strict=True))
    for slope in (0.0, 1e-3, -1.0, 1e200, math.inf, math.nan):
        for sign in (1.0, -1.0):
            bound = offset(function, torch.full_like(low, slope), low, high, sign)
            assert not bool(bound.isnan().any())
            assert bool((bound[~function.defined(low, high)] == math.inf).all())
    assert not bool(Lines.of(function, low, high, slopes_of(function, low, high)).below.isnan().any())
    least, greatest = interval(function, low, high)
    with mpmath.workdps(DIGITS):
        for a, b, bottom, top in zip(low.tolist(), high.tolist(), least.tolist(), greatest.tolist(), strict=True):
            for x in {v for v in (a, b, 0.5, -0.5) if a <= v <= b and math.isfinite(v)}:
                if x >= function.least and x not in function.poles and abs(x) < 1e200:
                    assert bottom <= exact(case, x) <= top
