"""What a stored zero counts as."""

import numpy as np
import pytest

from surefoot.core.precision import Zeros, floor_of, resolution, smallest


def rounded(decimals: int, dtype: type[np.floating] = np.float64, n: int = 500) -> np.ndarray:
    p = np.round(np.random.default_rng(0).dirichlet([0.3] * 4, size=n), decimals)
    return p.astype(dtype)


@pytest.mark.parametrize("decimals", [1, 2, 4, 6, 9])
def test_decimals_are_found(decimals):
    assert resolution(rounded(decimals)) == 10.0**-decimals
    if decimals <= 6:
        assert resolution(rounded(decimals, np.float32)) == 10.0**-decimals


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_that_were_not_rounded_have_that_of_their_type(dtype):
    p = np.random.default_rng(0).dirichlet([0.3] * 4, size=500).astype(dtype)
    assert resolution(p) == smallest(p.dtype)


def test_it_is_the_least_of_the_parts():
    parts = [rounded(2), rounded(4), np.eye(4)]
    assert resolution(np.concatenate(parts)) == min(map(resolution, parts)) == 1e-4
    assert resolution(np.concatenate([*parts, np.full((1, 4), 1 / 3)])) == smallest(np.dtype(float))


def test_one_less_a_decimal_is_a_decimal():
    p = rounded(3)[:, 0]
    assert resolution(np.stack([1 - p, p], 1)) == 1e-3
    assert resolution(np.array([[1 - 1e-17, 1e-17]])) == smallest(np.dtype(float))


def test_of_zeros_and_ones_nothing_is_known():
    assert resolution(np.eye(3)) == 1
    assert floor_of(1.0, np.dtype(np.float32)) == smallest(np.dtype(np.float32))
    assert floor_of(0.01, np.dtype(np.float32)) == 0.01


def test_it_is_said():
    assert Zeros(1, 1e-6).sentence.startswith("One probability of exactly 0 is stored; each counts as 1e-06")
    assert "2,000 probabilities" in Zeros(2000, 0.01).sentence
