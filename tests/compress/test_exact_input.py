"""An input that satisfies rows exactly, also where only rational numbers do."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from surefoot.compress.exact_input import exact_input
from surefoot.spec.input_set import InputSet, LinearConstraints


def satisfied(point: tuple[int, ...], rows: np.ndarray, bounds: np.ndarray) -> bool:
    *numerators, q = point
    return all(
        sum(Fraction(w) * p for w, p in zip(row, numerators, strict=True)) <= Fraction(float(bound)) * q
        for row, bound in zip(rows.tolist(), bounds, strict=True)
    )


@pytest.mark.parametrize("seed", range(40))
def test_an_input_of_the_rows_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 9))
    low = rng.normal(size=d)
    high = low + rng.exponential(size=d)
    middle = (low + high) / 2
    rows = rng.normal(size=(int(rng.integers(1, min(d, 3) + 1)), d))
    bounds = rows @ middle + (rng.random(len(rows)) * 0.1 if seed % 2 else 0)
    if not seed % 2:  # planes: of float64 numbers none may satisfy them
        rows, bounds = np.concatenate([rows, -rows]), np.concatenate([bounds, -bounds])
    near = middle + 1e-9 * rng.normal(size=d)
    found = exact_input(InputSet(low, high, LinearConstraints(rows, bounds), interior=near))
    assert found is not None
    assert satisfied(found, rows, bounds)
    assert all(
        Fraction(a) * found[-1] <= p <= Fraction(b) * found[-1] for a, p, b in zip(low, found, high, strict=False)
    )


def test_of_nothing_there_is_none() -> None:
    rows = np.ones((1, 2))
    empty = InputSet(np.zeros(2), np.ones(2), LinearConstraints(rows, np.array([-1.0])), interior=np.zeros(2))
    assert exact_input(empty) is None
    contradictory = np.concatenate([rows, -rows])
    constraints = LinearConstraints(contradictory, np.array([1.0, -1.0 - 1e-12]))
    assert exact_input(replace(empty, constraints=constraints, interior=np.full(2, 0.5))) is None
