"""How far floating-point results can be from exact ones.

A sum of n products in an arithmetic of unit u, in any order, fused or not, errs by at most
gamma_n = n u / (1 - n u) of the sum of the products' magnitudes (Higham 2002, equation 3.5).
"""

from dataclasses import dataclass

DOUBLE = 2.0**-53
SINGLE = 2.0**-24
SINGLE_LEAST = 2.0**-149  # what a product of two small float32 numbers may lose, be they ever so small
SPARE = 16  # operations beside the sum: scaling by a folded batch normalisation, adding a bias, a stored constant


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


REAL = Arithmetic("real", 0.0)
FLOAT32 = Arithmetic("float32", SINGLE)
