"""What is typed: numbers as Python's fractions are, and whatever is none is refused with the option's name."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.cli.arguments import names_in, numbers, patience_of, places, read_images, value_range
from surefoot.core.errors import InputError


@given(
    st.lists(
        st.one_of(st.fractions(max_denominator=10**6), st.floats(allow_nan=False, allow_infinity=False)), min_size=1
    )
)
def test_numbers_are_read_to_the_nearest_float(values: list[Fraction | float]) -> None:
    typed = ", ".join(str(value) for value in values)
    assert numbers(typed, None, "--eps") == [float(value) for value in values]
    assert numbers(typed, len(values), "--eps") == numbers(typed, None, "--eps")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b", "numbers such as 2/255"),
        ("", "numbers such as 2/255"),
        ("1/0", "numbers such as 2/255"),
        ("nan,1", "numbers such as 2/255"),
        ("inf,1", "numbers such as 2/255"),
        ("1e400,1", "beyond what float64 holds"),
        ("1e99999,1", "so many digits"),
        ("1" * 3000 + ",1", "so many digits"),
        ("1,2,3", "2 numbers between commas"),
    ],
)
def test_what_is_no_pair_of_numbers_is_refused_with_its_option(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        numbers(text, 2, "--domain")
    assert str(refused.value).startswith("--domain ")
    assert len(str(refused.value)) < 200 or "so many" not in said


def test_places_are_whole_numbers() -> None:
    assert places("3, -2,4/2", None, "--at") == [3, -2, 2]
    for text in ("0.5", "1/3", "1e13"):
        with pytest.raises(InputError, match="places of pixels are whole numbers"):
            places(text, None, "--at")


def test_the_ends_of_a_range_are_in_order() -> None:
    assert value_range("0,1/2") == (0.0, 0.5)
    for text in ("1,0", "1,1"):
        with pytest.raises(InputError, match=r"--range 1,.*: the first must be below the second"):
            value_range(text)


def test_names_are_each_one_once() -> None:
    assert names_in(" ce ,fl-3,, ce") == ["ce", "fl-3"]
    for text in ("", " , "):
        with pytest.raises(InputError, match="names no loss"):
            names_in(text)


def test_images_come_in_the_networks_shape(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((5, 8)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    found = read_images(tmp_path / "x.npz", (2, 4))
    assert found is not None
    assert np.array_equal(found.numpy(), x.reshape(5, 2, 4).astype(np.float64))
    assert read_images(None, (2, 4)) is None


@pytest.mark.parametrize(("limit", "each"), [(10.0, 2.0), (10_000.0, 30.0), (0.0, 2.0)])
def test_a_unit_gets_a_share_of_a_long_limit(limit: float, each: float) -> None:
    patience = patience_of(limit)
    assert patience.each == pytest.approx(each)
    assert patience.until.left <= limit
    assert patience.until.is_over() == (limit == 0)
