"""Exact numbers: decimals as rationals, rationals rounded outward to float64, rows of rationals as rows of float64."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError

_DECIMAL = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,6}))?")
_MOST_DIGITS = 2000  # a decimal of more is refused, be it written out or by its exponent
_WHOLE = 2**53  # integers up to here are float64 numbers
_FAR = 500  # rows whose largest weight is beyond 2^500, or below 2^-500, are brought back to about 1


def decimal(text: str) -> Fraction | None:
    """Read a decimal number exactly; None where the text is none.

    >>> decimal("-2.50e-1")
    Fraction(-1, 4)

    Raises:
        InputError: a number beyond what float64 can hold, or of thousands of digits.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    exponent = int(match[4] or 0) - len(match[3])
    digits = (match[2] + match[3]).lstrip("0")
    if len(digits) + abs(exponent) > _MOST_DIGITS:
        raise InputError(f"{text[:40]} has more than {_MOST_DIGITS} digits when it is written out")
    number = int(match[1] + (digits or "0"))
    value = Fraction(number * 10**exponent) if exponent >= 0 else Fraction(number, 10**-exponent)
    if abs(value) >= 2**1024:
        raise InputError(f"{text[:40]} is not a finite number: float64 ends at 1.8e308")
    return value


def below(x: Fraction) -> float:
    """Return the largest float64 that is not above x.

    >>> below(Fraction(1, 10)) < Fraction(1, 10) < above(Fraction(1, 10))
    True
    """
    nearest = _nearest(x)
    return nearest if nearest <= x else math.nextafter(nearest, -math.inf)


def above(x: Fraction) -> float:
    """Return the smallest float64 that is not below x."""
    nearest = _nearest(x)
    return nearest if nearest >= x else math.nextafter(nearest, math.inf)


def root_below(x: Fraction) -> Fraction:
    """Return a number that is not above the square root of x >= 0, and below it by a part in 2^60 at most.

    >>> root_below(Fraction(9, 4))
    Fraction(3, 2)
    """
    bits = max(64 + (x.denominator.bit_length() - x.numerator.bit_length()) // 2, 0)
    return Fraction(math.isqrt(x.numerator * 4**bits // x.denominator), 2**bits)


def _nearest(x: Fraction) -> float:
    try:
        return float(x)
    except OverflowError:  # a sum of finite numbers
        return math.inf if x > 0 else -math.inf


def _log2(x: Fraction) -> int:
    """Return the logarithm of a positive number of any size, to a whole number near it."""
    return round(math.log2(x.numerator) - math.log2(x.denominator))


@dataclass(frozen=True)
class Row:
    """The inequality sum of weights[i] y_i <= bound, or < bound if it is strict, in exact numbers."""

    weights: Mapping[int, Fraction]
    bound: Fraction
    strict: bool = field(default=False, repr=False)

    def holds(self, y: Mapping[int, Fraction]) -> bool:
        """Whether values satisfy it."""
        total = sum((w * y[i] for i, w in self.weights.items()), Fraction(0))
        return total < self.bound or (total == self.bound and not self.strict)

    def scaled(self) -> "Row":
        """Return an equivalent row with weights that are float64 numbers, if a positive factor can make them so.

        Weights that are such numbers already stay as they are, so that margins keep their unit, unless the largest is
        so large or small that sums would overflow. Others become whole numbers without a common factor, times the power
        of two that brings the largest nearest to what it was.

        >>> Row({0: Fraction(3, 10)}, Fraction(15, 100)).scaled()
        Row(weights={0: Fraction(1, 4)}, bound=Fraction(1, 8))
        """
        if all(w.denominator == 1 and -_WHOLE <= w.numerator <= _WHOLE for w in self.weights.values()):
            return self
        size = _log2(max(abs(w) for w in self.weights.values()))
        if abs(size) > _FAR:
            return self._times(Fraction(2) ** -size).scaled()
        if all(Fraction(_nearest(w)) == w for w in self.weights.values()):
            return self
        common = math.lcm(*(w.denominator for w in self.weights.values()))
        whole = [int(w * common) for w in self.weights.values()]
        factor = Fraction(common, math.gcd(*whole))
        largest = max(abs(w) for w in self.weights.values())
        if largest * factor > _WHOLE:
            return self
        return self._times(factor / Fraction(2) ** _log2(factor))

    def _times(self, factor: Fraction) -> "Row":
        return Row({i: w * factor for i, w in self.weights.items()}, self.bound * factor, self.strict)

    def as_floats(self, size: int) -> tuple[Float[np.ndarray, " size"], float]:
        """Return the weights (size,), each the nearest float64, and the least float64 that is not below the bound."""
        weights = np.zeros(size)
        for i, w in self.weights.items():
            weights[i] = _nearest(w)
        return weights, above(self.bound)
