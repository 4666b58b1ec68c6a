"""Distances from a region are exact, rounded upwards."""

from fractions import Fraction

import numpy as np
import pytest

from surefoot.spec.query import Query, Unsafe


def cut_by(row: np.ndarray, bound: float) -> Query:
    d = len(row)
    return Query(np.full(d, -10.0), np.full(d, 10.0), (Unsafe(np.ones((1, 1)), np.zeros(1)),),
                 (row[None], np.array([bound])))  # fmt: skip


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-20, 1.0, 1e20, 1e200, 1e300])
@pytest.mark.parametrize("seed", range(20))
def test_the_distance_from_a_row_of_any_size_is_rounded_upwards(size: float, seed: int) -> None:
    """Squares of weights of 1e-200 are 0: the norm was taken for 1, and the distance for 1e-200 of what it is."""
    rng = np.random.default_rng(seed)
    row = rng.normal(size=int(rng.integers(1, 6))) * size
    x = np.full(len(row), 5.0) * np.sign(row)
    far = cut_by(row, 0.0).distance(x)
    excess = sum((Fraction(w) * Fraction(v) for w, v in zip(row.tolist(), x.tolist(), strict=True)), Fraction(0))
    square = sum((Fraction(w) ** 2 for w in row.tolist()), Fraction(0))
    assert Fraction(far) ** 2 * square >= excess**2
    assert Fraction(far) ** 2 * square <= excess**2 * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize("x", [-10 - 2.0**-49, 10 + 1e-14, 11.0, 1e300])
def test_the_distance_from_a_box_is_rounded_upwards(x: float) -> None:
    query = Query(np.array([-10.1, -1.0]), np.array([0.1, 1.0]), (Unsafe(np.ones((1, 1)), np.zeros(1)),))
    far = max(Fraction(-10.1) - Fraction(x), Fraction(x) - Fraction(0.1), Fraction(0))
    assert far <= Fraction(query.distance(np.array([x, 0.0]))) <= far * (1 + Fraction(2, 10**15))
