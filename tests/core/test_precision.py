"""What a stored zero counts as."""

import copy
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.precision import LogProbs, Zeros, floor_of, log_probs, resolution, smallest, stored_probs, zeros_of
from surefoot.core.tables import load_predictions


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
    assert Zeros(2000, 0.01, 2, 10).sentence == (
        "2,000 probabilities of exactly 0 are stored; each counts as 0.01, the resolution of the table. "
        "2 rows store it for their own label: 0.9210 of the NLL comes of that."
    )
    assert "the smallest number of its type" in Zeros(1, smallest(np.dtype(float))).sentence


@pytest.mark.parametrize(
    ("rows", "counts_as"),
    [
        (["0.000000,1.000000", "1.000000,0.000000"], 1e-6),  # the numbers alone tell nothing
        (["0.020000,0.980000", "1.000000,0.000000"], 1e-6),  # or that they are multiples of 0.02
        (["0.02,0.98", "1.00,0.00"], 1e-2),
        (["0.02,0.98", "1.0,0.0"], 1e-2),
        (["0.0,1.0", "1.0,0.0"], smallest(np.dtype(float))),
        (["0,1", "1,0"], smallest(np.dtype(float))),
        (["1e-09,0.999999999", "1,0"], 1e-9),
    ],
)
def test_the_text_of_a_table_tells_what_a_zero_counts_as(tmp_path, rows, counts_as):
    (tmp_path / "p.csv").write_text("\n".join(["prob_0,prob_1,label", *(f"{row},0" for row in rows)]) + "\n")
    assert load_predictions(tmp_path / "p.csv").floor == pytest.approx(counts_as, rel=1e-12)


@given(p=st.lists(st.integers(0, 1000), min_size=1, max_size=30), decimals=st.integers(3, 9))
def test_fixed_decimals_are_the_resolution_whatever_the_numbers(p, decimals):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        rows = [f"{x / 1000:.{decimals}f},{1 - x / 1000:.{decimals}f},0" for x in [*p, 1000]]
        path.write_text("\n".join(["prob_0,prob_1,label", *rows]) + "\n")
        assert load_predictions(path).floor == pytest.approx(10.0**-decimals, rel=1e-12)


COPIES = {
    "pickle": lambda logs: pickle.loads(pickle.dumps(logs)),
    "pickle 5": lambda logs: pickle.loads(pickle.dumps(logs, protocol=5)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_knows_what_the_original_knows(how, dtype):
    logs = log_probs(rounded(2, dtype), 0.01)
    other = COPIES[how](logs)
    assert isinstance(other, LogProbs)
    assert (other.floor, other.stored) == (logs.floor, logs.stored)
    assert np.array_equal(other, logs)
    zeros, probs = zeros_of(other)[1], stored_probs(other)
    assert zeros is not None
    assert probs is not None
    assert np.array_equal(zeros, rounded(2) == 0)
    assert np.array_equal(probs, rounded(2, dtype))


def test_arithmetic_in_place_equals_that_out_of_place():
    logs = log_probs(rounded(2), 0.01)
    plain, most = np.array(logs), logs.max(1, keepdims=True)
    less = logs.copy()
    less -= most
    assert np.array_equal(less, logs - most)
    assert np.array_equal(less, plain - most)
    assert stored_probs(less) is None  # no more than for logs - most

    power = logs.copy()
    assert np.exp(power, out=power) is power
    assert np.array_equal(power, np.exp(plain))
    assert power.floor is None

    into = np.empty_like(plain)
    assert np.exp(logs, out=into) is into
    assert logs.floor == 0.01

    first = logs.copy()
    first[:1] += 1
    assert np.array_equal(first[:1], plain[:1] + 1)
    assert np.array_equal(first[1:], plain[1:])

    whole, part = np.empty_like(logs), np.empty_like(logs)
    np.divmod(logs, 2, out=(whole, part))
    assert all(np.array_equal(x, y) for x, y in zip((whole, part), np.divmod(plain, 2), strict=True))
    assert np.array_equal(np.add.reduce(logs, 1, out=np.empty(len(plain))), plain.sum(1))
