"""How far floating-point results can be from exact ones.

A sum of n products in an arithmetic of unit u, in any order, fused or not, errs by at most
gamma_n = n u / (1 - n u) of the sum of the products' magnitudes (Higham 2002, equation 3.5), and by half the smallest
number for each product that is too small for the arithmetic (2.8: fl(x y) = x y (1 + d) + e; sums lose nothing so).
The second part is nothing beside ordinary numbers and everything beside small ones: 1e-170 squared is 0 for a float64,
and a weight of 1e300 may follow. Errors are therefore taken of `magnitude`, which pays for both.
"""

from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from torch import Tensor

DOUBLE = 2.0**-53
SINGLE = 2.0**-24
SINGLE_LEAST = 2.0**-149  # what a product of two small float32 numbers may lose, be they ever so small
SINGLE_LARGEST = (2.0 - 2.0**-23) * 2.0**127
SPARE = 16  # operations beside the sum: scaling by a folded batch normalisation, adding a bias, a stored constant

LEAST = 1e-150  # so that a product of two is a float64 still, and so is an error relative to it
LOST = 1e-300  # more than a sum loses whose products are too small, if nothing multiplies it any more

Numbers = TypeVar("Numbers", Tensor, np.ndarray)


def magnitude(x: Numbers) -> Numbers:
    """Return |x|, but for numbers that are not 0 at least `LEAST`: what errors of products are relative to.

    gamma_n of a product of two such magnitudes is above n times the smallest float64, so that a relative error of it
    covers what the product loses if it is too small for a float64. Products of three take the magnitude of the first
    two's. What is 0 stays 0: nothing is lost there, and a unit that is off stays off.
    """
    return cast(Numbers, abs(x).clip(min=LEAST) * (x != 0))


def gamma(terms: int, unit: float) -> float:
    """Return gamma_n with n = terms + SPARE, itself rounded up."""
    n = (terms + SPARE) * unit
    return n / (1 - n) * (1 + 1e-12) if n < 1 else float("inf")


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

    def overflows(self, size: Numbers, relative: float) -> Numbers:
        """Return where a sum may pass the largest number in some order of its terms, whose magnitudes sum to `size`.

        Nothing is known of the result then: its error is infinite, and no bound follows for this arithmetic. A size
        that is not a number may be any.
        """
        return cast(Numbers, ~(size * (1 + relative) <= (SINGLE_LARGEST if self.unit else np.inf)))


REAL = Arithmetic("real", 0.0)
FLOAT32 = Arithmetic("float32", SINGLE)
