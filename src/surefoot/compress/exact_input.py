"""An input of a set exactly, in rational numbers, near one that nearly lies inside."""

import math
from fractions import Fraction

import numpy as np

from surefoot.compress.interior import with_interior
from surefoot.spec.input_set import InputSet, LinearConstraints

NEAR = 1e-6  # of a row's size: rows nearer to their bound than this are made equalities, if need be
BITS = 20  # of inputs that the rows leave free: short numbers keep exact ones short


def exact_input(inputs: InputSet) -> tuple[int, ...] | None:
    """Return (p_1, ..., p_d, q) with lower <= p / q <= upper and rows p / q <= bounds, exactly, or None if none is met.

    The interior itself; else an input on the rows that it nearly reaches, by Gaussian elimination in rational numbers,
    in which the inputs with the largest coefficients are solved for.

    >>> exact_input(InputSet.of([0], [1], LinearConstraints.of([[3], [-3]], [1, -1])))
    (1, 3)

    Raises:
        InputError: no input satisfies the constraints, not even nearly.
    """
    lower, upper, interior = inputs.lower, inputs.upper, with_interior(inputs).interior
    near = lower if interior is None else np.clip(interior, lower, upper)
    constraints = inputs.constraints or LinearConstraints(np.zeros((0, inputs.size)), np.zeros(0))
    rows, bounds = constraints.rows, constraints.bounds
    short = np.clip(np.round(near * 2.0**BITS) / 2.0**BITS, lower, upper)
    sizes = np.abs(rows) @ np.abs(near) + np.abs(bounds) + 1e-300
    for x in ([Fraction(v) for v in near.tolist()], *(_on(rows, bounds, sizes, start) for start in (short, near))):
        if _satisfies(x, rows, bounds, lower, upper):
            q = math.lcm(*(v.denominator for v in x))
            return (*(int(v * q) for v in x), q)
    return None


def _satisfies(x: list[Fraction], rows: np.ndarray, bounds: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> bool:
    inside = all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(lower.tolist(), x, upper.tolist(), strict=True))
    return inside and all(
        sum((Fraction(w) * v for w, v in zip(row, x, strict=True) if w), Fraction(0)) <= Fraction(bound)
        for row, bound in zip(rows.tolist(), bounds.tolist(), strict=True)
    )


def _on(rows: np.ndarray, bounds: np.ndarray, sizes: np.ndarray, start: np.ndarray) -> list[Fraction]:
    """Put an input onto the rows that it nearly reaches."""
    x = [Fraction(v) for v in start.tolist()]
    solved: list[tuple[int, list[Fraction], Fraction]] = []  # input, its row with 1 there, its bound
    for row, bound in zip(
        rows[bounds - rows @ start < NEAR * sizes].tolist(), bounds[bounds - rows @ start < NEAR * sizes], strict=True
    ):
        left, rest = [Fraction(w) for w in row], Fraction(float(bound))
        for at, other, value in solved:
            factor = left[at]
            if factor:
                left = [a - factor * b for a, b in zip(left, other, strict=True)]
                rest -= factor * value
        pivot = max(range(len(left)), key=lambda i: abs(left[i]))
        if left[pivot]:
            solved.append((pivot, [a / left[pivot] for a in left], rest / left[pivot]))
    for at, row, value in reversed(solved):
        x[at] = value - sum((w * v for i, (w, v) in enumerate(zip(row, x, strict=True)) if i != at and w), Fraction(0))
    return x
