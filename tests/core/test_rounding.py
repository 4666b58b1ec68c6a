"""Every allowance for rounding is judged by exact rationals, or by 50 digits, on random and on hard numbers."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import entr, expit, logit, logsumexp, xlogy

from surefoot.core.rounding import (
    DOUBLE,
    ELEMENTARY,
    FLOAT32,
    LEAST,
    LOST,
    REAL,
    SINGLE,
    UPWARD,
    difference_below,
    formula_error,
    gamma,
    magnitude,
    step_error,
    sum_error,
    unit_of,
)

KINDS = ("plain", "cancelling", "wide", "tiny", "denormal", "huge")


def numbers(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw numbers of one kind: those that rounding is hard on are most of them."""
    x = rng.normal(size=n)
    match kind:
        case "cancelling":  # pairs that nearly cancel, in any order
            x[1::2] = -x[0::2][: n // 2] * (1 + rng.integers(-2, 3, n // 2) * 2.0**-52)
            return rng.permutation(x) * 1e8
        case "wide":
            return x * 10.0 ** rng.integers(-20, 20, n)
        case "tiny":
            return x * 10.0 ** rng.integers(-200, -140, n)
        case "denormal":
            return x * 10.0 ** rng.integers(-323, -307, n)
        case "huge":
            return x * 10.0 ** rng.integers(120, 150, n)
    return x


def pairs(n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for one in KINDS:
            for two in KINDS:
                yield numbers(one, n, rng), numbers(two, n, rng)


def exact(x: np.ndarray) -> list[Fraction]:
    return [Fraction(v) for v in x.tolist()]


def dot(x: np.ndarray, y: np.ndarray) -> Fraction:
    return sum((a * b for a, b in zip(exact(x), exact(y), strict=True)), Fraction(0))


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_sums_of_products_lie_within_their_error(n: int) -> None:
    for x, y in pairs(n):
        true = dot(x, y)
        size = float(magnitude(x) @ magnitude(y))
        in_turn = 0.0
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            in_turn += a * b
        for value in (float(x @ y), in_turn, float((x * y).sum()), float(torch.from_numpy(x) @ torch.from_numpy(y))):
            assert Fraction(value - sum_error(n, size)) <= true <= Fraction(value + sum_error(n, size))


def test_a_sum_s_error_is_needed_and_not_far_too_large() -> None:
    """Nothing is let out by more than forty times what happens to numbers that are hard on it."""
    n = 1000
    x = np.full(n, 0.1)
    x[0] = 1e16  # each addition afterwards is lost
    in_turn = 0.0
    for a in x.tolist():
        in_turn += a
    error = abs(Fraction(in_turn) - sum(exact(x)))
    assert error <= Fraction(sum_error(n, float(x.sum()))) <= 40 * error


@pytest.mark.parametrize("x", [*numbers("wide", 30, np.random.default_rng(0)).tolist(), 0.1, 1e300, 5e-324, 1.0])
@pytest.mark.parametrize("share", [1.0, -1.0, -1 - 2.0**-52, 0.5, 1e-17, -1e-16, 1e7, 0.0])
def test_few_steps_lie_within_their_error(x: float, share: float) -> None:
    y = x * share
    for value, true in ((x + y, Fraction(x) + Fraction(y)), (x - y, Fraction(x) - Fraction(y))):
        if np.isfinite(value):
            error = step_error(2, abs(x) + abs(y))
            assert Fraction(value - error) <= true <= Fraction(value + error)
    p, q = (float(magnitude(np.array(v))) for v in (x, y))
    if np.isfinite(p * q) and 0 < abs(x * y) < 1e300:  # a product, a sum, a difference, and the allowance
        value, true = x * y + x - y, Fraction(x) * Fraction(y) + Fraction(x) - Fraction(y)
        error = step_error(4, p * q + p + q)
        assert Fraction(value - error) <= true <= Fraction(value + error)


def test_a_step_of_float32_is_one_rounding() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=2000).astype(np.float32) for _ in range(2))
    true = x.astype(float) + y.astype(float)
    assert (np.abs((x + y).astype(float) - true) <= step_error(1, np.abs(true), SINGLE)).all()


def test_differences_are_below() -> None:
    values = [0.0, 5e-324, 1e-310, 1e-160, 1e-17, 0.1, 0.3, 1.0, 1 + 2.0**-52, 1e16, 1e300, 1.7e308]
    values += [-v for v in values]
    for x in values:
        for y in values:
            if np.isfinite(x - y):
                found = difference_below(x, y)
                assert isinstance(found, float)
                assert Fraction(found) <= Fraction(x) - Fraction(y)
                assert found >= np.nextafter(x - y, -np.inf)
                arrays = difference_below(np.array([x]), np.array([y]))
                tensors = difference_below(*(torch.tensor([v], dtype=torch.float64) for v in (x, y)))
                assert arrays.tolist() == tensors.tolist() == [found]
                assert (found > 0) <= (x > y)
    assert difference_below(1.0, np.inf) == -np.inf
    assert np.isnan(difference_below(np.nan, 1.0))


@pytest.mark.parametrize("depth", [1, 10, 3000])
def test_upward_covers_chains_of_numbers_that_are_not_negative(depth: int) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        value, true = 1.0, Fraction(1)
        for x in rng.uniform(0.5, 1.5, depth).tolist():
            match rng.integers(3):
                case 0:
                    value, true = value + x, true + Fraction(x)
                case 1:
                    value, true = value * x, true * Fraction(x)
                case _:
                    value, true = value / x, true / Fraction(x)
            true = Fraction(mpmath_floor(true))  # kept short, and rounded down by a part in 2^300 only
        assert Fraction(UPWARD * value) >= true


def mpmath_floor(x: Fraction) -> Fraction:
    shift = 300 + x.denominator.bit_length() - x.numerator.bit_length()
    return Fraction(int(x * 2**shift), 2**shift) if shift > 0 else x


def test_upward_is_more_than_the_lemma_needs() -> None:
    """(1 - u)^n >= 1 - n u, for n = 2^22 and the product by UPWARD itself."""
    assert (1 - (2**22 + 1) * Fraction(DOUBLE)) * Fraction(UPWARD) > 1


def test_gammas_are_rounded_up() -> None:
    for unit in (DOUBLE, SINGLE):
        for terms in (0, 1, 17, 10**4, 10**6):
            n = (terms + 16) * Fraction(unit)
            assert Fraction(gamma(terms, unit)) >= n / (1 - n)
    assert gamma(2**24, SINGLE) == float("inf")
    assert unit_of(torch.float64) == DOUBLE
    assert unit_of(torch.float32) == SINGLE


def test_a_lost_product_is_paid_by_magnitudes() -> None:
    """The gamma of the smallest product of magnitudes is a float64, and more than so many products lose."""
    for terms in (1, 1000, 10**6):
        assert sum_error(terms, LEAST * LEAST) >= terms * 2.0**-1074 > 0
        assert terms * 2.0**-1074 <= LOST
    assert step_error(1, LEAST * LEAST) >= 2.0**-1074
    assert magnitude(np.array([0.0, 1e-320, -2.0])).tolist() == [0.0, LEAST, 2.0]


ELEMENTARY_ONES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[..., Any], np.ndarray]] = {
    "exp": (np.exp, mpmath.exp, np.r_[np.linspace(-1000, 700, 500), 1e-300, -1e-17]),
    "log": (np.log, mpmath.log, np.r_[10.0 ** np.linspace(-320, 308, 500), 1 - 2.0**-53, 1 + 2.0**-52]),
    "log1p": (np.log1p, mpmath.log1p, np.r_[-(10.0 ** np.linspace(-300, -1e-9, 300)), 1e-300, 1e300]),
    "expm1": (np.expm1, mpmath.expm1, np.r_[np.linspace(-50, 700, 300), 1e-300, -1e-17]),
    "tanh": (np.tanh, mpmath.tanh, np.r_[np.linspace(-25, 25, 301), 1e-300, 1e-9]),
    "atanh": (np.arctanh, mpmath.atanh, np.r_[np.linspace(-0.99, 0.99, 300), 1 - 2.0**-53, 1e-300]),
    "expit": (expit, lambda x: 1 / (1 + mpmath.exp(-x)), np.r_[np.linspace(-700, 700, 300), 1e-300]),
    "logit": (logit, lambda x: mpmath.log(x) - mpmath.log1p(-x), np.r_[np.linspace(0.001, 0.999, 300), 1e-300]),
    "entr": (entr, lambda x: -x * mpmath.log(x), np.r_[np.linspace(0.001, 1, 300), 1e-300]),
}


@pytest.mark.parametrize("name", ELEMENTARY_ONES)
def test_elementary_functions_are_right_to_a_few_units(name: str) -> None:
    """To 2^-48 of their value, or of 2^-1022; the lemma of ELEMENTARY needs no more."""
    function, true, points = ELEMENTARY_ONES[name]
    with mpmath.workdps(50), np.errstate(under="ignore"):
        for x, value in zip(points.tolist(), np.asarray(function(points)).tolist(), strict=True):
            there = true(mpmath.mpf(x))
            assert abs(value - there) <= 2.0**-48 * max(abs(there), mpmath.mpf(2) ** -1022), x


@pytest.mark.parametrize("n", [2, 10, 3000])
def test_formulas_lie_within_their_error(n: int) -> None:
    """The formulas that bounds are made of: log-sum-exp, entropy, and exp of a difference of large numbers."""
    rng = np.random.default_rng(n)
    for scale in (1e-8, 1.0, 30.0, 300.0):
        z = rng.normal(size=n) * scale
        with mpmath.workdps(50):
            true = mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(v)) for v in z.tolist()))
            found = float(logsumexp(z))
            assert abs(found - true) <= formula_error(abs(found), n)
            p = np.exp(z - found)
            entropy = mpmath.fsum(-mpmath.mpf(v) * mpmath.log(v) for v in p.tolist() if v)
            assert abs(float(-xlogy(p, p).sum()) - entropy) <= formula_error(float(entropy), n)
            assert abs(p[0] - mpmath.exp(mpmath.mpf(z[0]) - true)) <= formula_error(0.0, n)
    assert formula_error(0.0) == ELEMENTARY


def test_real_arithmetic_has_no_error_and_never_overflows() -> None:
    assert REAL.error(100) == (0.0, 0.0)
    assert not REAL.overflows(np.array([1e308]), 0.0).any()
    relative, absolute = FLOAT32.error(10)
    assert relative == gamma(10, SINGLE)
    assert absolute > 0
    assert FLOAT32.overflows(np.array([1e39, np.nan]), relative).all()
