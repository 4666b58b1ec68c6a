"""Decimals, rounding and rows, exactly."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.spec.exact import Row, above, below, decimal


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_decimals_are_read_exactly(value) -> None:
    assert decimal(str(value)) == Fraction(value)


@pytest.mark.parametrize("text", ["", ".", "-", "1_0", "0x1", "1e", "e5", "nan", "Infinity", "1.2.3", "１"])
def test_what_is_no_decimal(text: str) -> None:
    assert decimal(text) is None


@pytest.mark.parametrize("text", ["1e400", "1e999999", "-1e-999999", "0." + "1" * 3000])
def test_what_no_float64_is_near_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"digits|finite"):
        decimal(text)


@given(st.fractions() | st.floats(allow_nan=False, allow_infinity=False).map(Fraction))
def test_rounding_is_outward_and_tight(x: Fraction) -> None:
    assert Fraction(below(x)) <= x <= Fraction(above(x))
    assert above(x) in (below(x), math.nextafter(below(x), math.inf))
    assert (above(x) == below(x)) == (Fraction(float(x)) == x)


def test_weights_beyond_53_bits_stay_as_they_are() -> None:
    row = Row({0: Fraction(1, 3**30), 1: Fraction(7**15)}, Fraction(1))
    assert row.scaled() is row


@given(
    st.dictionaries(st.integers(0, 3), st.fractions(-99, 99, max_denominator=99).filter(bool), min_size=1),
    st.fractions(),
)
def test_scaled_rows_are_equivalent_and_exact(weights: dict[int, Fraction], bound: Fraction) -> None:
    row = Row(weights, bound)
    scaled = row.scaled()
    factors = {scaled.weights[i] / w for i, w in weights.items()}
    assert len(factors) == 1
    (factor,) = factors
    assert factor > 0
    assert scaled.bound == bound * factor
    assert Fraction(1, 4) < factor < 4
    assert all(Fraction(float(w)) == w for w in scaled.weights.values())
    floats, least = scaled.as_floats(4)
    assert [Fraction(w) for w in floats.tolist()] == [scaled.weights.get(i, 0) for i in range(4)]
    assert least >= scaled.bound


@pytest.mark.parametrize("size", ["1e-400", "1e-330", "1e-300", "1.7e308"])
def test_rows_of_any_size_are_the_same_condition(size: str) -> None:
    w = decimal(size)
    assert w is not None
    for factor in (w, w * w, w * 3):
        row = Row({0: factor, 1: -2 * factor}, factor / 4).scaled()
        assert row.bound / row.weights[0] == Fraction(1, 4)
        assert row.weights[1] == -2 * row.weights[0]
        weights, bound = row.as_floats(2)
        assert 1e-151 < abs(weights).max() < 1e151
        assert abs(bound) < 1e151
