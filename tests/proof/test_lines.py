"""The checker's lines lie below and above their function, at 50 digits, and are those that the search proposes."""

import math

import mpmath
import numpy as np
import pytest
import torch

from functions import CASES, DIGITS, Case, described, exact, random_intervals
from surefoot.proof.lines import highest, smooth, values_between
from surefoot.reach.lines import Lines, offset, slopes_of


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lines_hold_at_every_point(case: Case) -> None:
    function, rng = described(case), np.random.default_rng(0)
    low, high = (end.numpy() for end in random_intervals(function, rng, 40))
    n = len(low)
    least, greatest = values_between(function, low, high)
    drawn = rng.normal(size=n) * np.exp(rng.normal(size=n) * 3)
    shares = rng.uniform(-0.5, 1.5, size=2 * n)  # whatever is proposed
    lines = [(np.zeros(n), least, greatest)]
    lines.append((drawn, -highest(function, drawn, low, high, -1.0), highest(function, drawn, low, high, 1.0)))
    signs = np.repeat([[1.0], [-1.0]], n, 1)
    for proposed in (None, shares):
        constants, slopes, _ = smooth(signs, function, low, high, proposed)
        lines += [(slopes[0], constants[0], np.full(n, np.inf)), (-slopes[1], np.full(n, -np.inf), -constants[1])]
    with mpmath.workdps(DIGITS):
        for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            inside = np.clip(rng.uniform(size=8) * (b - a) + a, a, b).tolist()
            for x in [a, b, *(v for v in function.breaks if a <= v <= b), *inside]:
                value = exact(case, x)
                for slope, under, over in lines:
                    rise = mpmath.mpf(float(slope[i])) * mpmath.mpf(x)
                    assert np.isinf(under[i]) or rise + mpmath.mpf(float(under[i])) <= value, (a, b, x)
                    assert np.isinf(over[i]) or value <= rise + mpmath.mpf(float(over[i])), (a, b, x)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_search_and_the_check_propose_the_same_slopes(case: Case) -> None:
    function = described(case)
    low, high = random_intervals(function, np.random.default_rng(1), 100)
    ours = Lines.of(function, low, high, slopes_of(function, low, high))
    signs = np.repeat([[1.0], [-1.0]], len(low), 1)
    _, slopes, _ = smooth(signs, function, low.numpy(), high.numpy(), None)
    assert np.allclose(slopes[0], ours.below.numpy(), rtol=1e-12, atol=0)
    assert np.allclose(-slopes[1], ours.above.numpy(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_check_is_not_looser_than_the_search(case: Case) -> None:
    function = described(case)
    low, high = random_intervals(function, np.random.default_rng(2), 200)
    low, high = (end[high - low < 1e3] for end in (low, high))  # both halve what is to be searched so many times only
    slope = slopes_of(function, low, high).at(torch.full_like(low, 0.4))
    for sign in (1.0, -1.0):
        searched = offset(function, slope, low, high, sign).numpy()
        checked = highest(function, slope.numpy(), low.numpy(), high.numpy(), sign)
        size = np.abs(slope.numpy()) * np.maximum(np.abs(low.numpy()), np.abs(high.numpy())) + np.abs(searched)
        assert (checked <= searched + 1e-7 * size + 1e-9).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_not_defined_or_not_finite_is_not_bounded(case: Case) -> None:
    function = described(case)
    ends = [-math.inf, -1e300, -1.0, 0.0, 5e-324, 1.0, 1e300, math.inf, math.nan]
    low, high = (np.array(e) for e in zip(*[(a, b) for a in ends for b in ends], strict=True))
    defined = function.defined(torch.tensor(low), torch.tensor(high)).numpy()
    for slope in (0.0, 1.0, -1e200, math.nan):
        for sign in (1.0, -1.0):
            bound = highest(function, np.full(len(low), slope), low, high, sign)
            assert not np.isnan(bound).any()
            assert (bound[~defined] == np.inf).all()
