"""How far floating-point results can be from exact ones: each allowance that bounds make has a name and a lemma here.

Let u be the unit of an arithmetic (2^-53 for float64). Every operation gives (x op y)(1 + d), |d| <= u, and products
and quotients too small for the arithmetic lose up to half its smallest number more; sums lose nothing so (Higham 2002,
2.4 and 2.8). A sum of n products, in any order, fused or not, errs by at most gamma_n = n u / (1 - n u) of the sum of
the products' magnitudes (3.5).

What products lose that are too small is nothing beside ordinary numbers and everything beside small ones: 1e-170
squared is 0 for a float64, and a weight of 1e300 may follow. Sizes are made of `magnitude`s, which pay for it.
"""

import math
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

DOUBLE = 2.0**-53
SINGLE = 2.0**-24
SINGLE_LEAST = 2.0**-149  # what a product of two small float32 numbers may lose, be they ever so small
SINGLE_LARGEST = (2.0 - 2.0**-23) * 2.0**127
SPARE = 16  # operations beside the sum: scaling by a folded batch normalisation, adding a bias, a stored constant

LEAST = 1e-150  # so that a product of two is a float64 still, and so is an error relative to it
LOST = 1e-300  # more than a sum loses whose products are too small, if nothing multiplies it any more

# Times what sums, products and quotients of `magnitude`s gave in float64, fewer than 2^22 of them one after another:
# not below the exact result, for (1 - u)^(2^22) (1 + 1e-9) > 1 (Higham 2002, lemma 3.1).
UPWARD = 1 + 1e-9
# Of 1 + |x|: more than x loses that a few elementary functions gave (exp, log, log1p, expm1, tanh, atanh, their sums),
# each right to 2^-48 of its value, for arguments up to 1000 in size: a rounded argument changes exp by 1000 u of it.
ELEMENTARY = 1e-12

Arrays = TypeVar("Arrays", Tensor, np.ndarray)
Numbers = TypeVar("Numbers", Tensor, np.ndarray, float)


def unit_of(dtype: torch.dtype) -> float:
    """Return the unit of a floating-point type."""
    return torch.finfo(dtype).eps / 2


def magnitude(x: Arrays) -> Arrays:
    """Return |x|, but for numbers that are not 0 at least `LEAST`: what errors of products are relative to.

    gamma_n of a product of two such magnitudes is above n times the smallest float64, so that a relative error of it
    covers what the product loses if it is too small for a float64. Products of three take the magnitude of the first
    two's. What is 0 stays 0: nothing is lost there, and a unit that is off stays off.
    """
    return cast(Arrays, abs(x).clip(min=LEAST) * (x != 0))


def gamma(terms: int, unit: float) -> float:
    """Return gamma_n with n = terms + SPARE, itself rounded up."""
    n = (terms + SPARE) * unit
    return n / (1 - n) * (1 + 1e-12) if n < 1 else float("inf")


def sum_error(terms: int, size: Numbers) -> Numbers:
    """Bound what a float64 sum of so many products may be off by, and what subtracting this bound loses.

    `size` is the sum of the products' magnitudes as computed. Lemma: the sum errs by gamma_terms of the exact size
    (Higham 2002, 3.5); twice gamma_(terms + 16) of the computed one is more, as that is low by a gamma of itself.

    >>> x = np.array([1e16, 1.0, -1e16])
    >>> float(x.sum() - sum_error(3, np.abs(x).sum())) < 1
    True
    """
    return cast(Numbers, 2 * gamma(terms, DOUBLE) * size)


def step_error(steps: int, size: Numbers, unit: float = DOUBLE) -> Numbers:
    """Bound what so few operations may be off by, on numbers whose magnitudes sum to at most `size`, as computed.

    Lemma: each gives at most `size`, and errs by u of that (Higham 2002, 2.4); twice as much pays for the size's own
    rounding. Subtracting this bound is a step too.

    >>> (0.1 + 0.2) - step_error(2, 0.3) < 0.3
    True
    """
    return cast(Numbers, 2 * steps * unit * size)


def difference_below(x: Numbers, y: Numbers) -> Numbers:
    """Return a float64 below x - y, or not above it where it is infinite.

    Lemma: what is nearest is at most half a gap off, so that the next number below it is not above (Higham 2002, 2.4).

    >>> bool(difference_below(1.0, 1e-20) < 1)
    True
    """
    if isinstance(x, Tensor):
        gap = x - y
        return cast(Numbers, torch.nextafter(gap, gap.new_tensor(-torch.inf)))
    return cast(Numbers, np.nextafter(x - y, -np.inf))


def formula_error(size: Numbers, terms: int = 0) -> Numbers:
    """Bound what a formula with elementary functions loses, and sums of so many terms; `size` as in `sum_error`.

    Lemma: that of `ELEMENTARY`, and that of `sum_error`.

    >>> float(np.log(3.0)) + formula_error(1.1) > 1.0986122886681098
    True
    """
    return cast(Numbers, (ELEMENTARY + (2 * gamma(terms, DOUBLE) if terms else 0.0)) * (1 + size))


def softmax_change(eps: float) -> float:
    """Bound by how much a softmax probability changes where no logit changes by more than eps: tanh(eps / 2).

    Lemma: that of `ELEMENTARY`, here of the value itself, for tanh loses no digits near 0.

    >>> softmax_change(0.0), softmax_change(1e9)
    (0.0, 1.0)
    """
    return min(math.tanh(eps / 2) * (1 + ELEMENTARY), 1.0)


@dataclass(frozen=True)
class Arithmetic:
    """Which evaluations of the network a bound speaks of.

    `unit` is 0 for the network as a function of real numbers, 2^-24 for any float32 evaluation that computes the
    graph's operations one after another, sums in any order (not by transforms as Winograd's).
    """

    name: str
    unit: float

    def error(self, terms: int) -> tuple[float, float]:
        """Return the relative and the absolute error of a sum of so many products."""
        return (gamma(terms, self.unit), (terms + SPARE) * SINGLE_LEAST) if self.unit else (0.0, 0.0)

    def overflows(self, size: Arrays, relative: float) -> Arrays:
        """Return where a sum may pass the largest number in some order of its terms, whose magnitudes sum to `size`.

        Nothing is known of the result then: its error is infinite, and no bound follows for this arithmetic. A size
        that is not a number may be any.
        """
        return cast(Arrays, ~(size * (1 + relative) <= (SINGLE_LARGEST if self.unit else np.inf)))


REAL = Arithmetic("real", 0.0)
FLOAT32 = Arithmetic("float32", SINGLE)
