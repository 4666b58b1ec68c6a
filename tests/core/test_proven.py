"""What is written of a proven number claims no more, and little less."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.proven import at_least, at_most, percent_at_least, percent_at_most, percent_span, span

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, st.integers(1, 9))
def test_significant_digits_are_rounded_outward_and_by_less_than_one_unit(value: float, digits: int) -> None:
    low, high = Fraction(at_least(value, digits)), Fraction(at_most(value, digits))
    assert low <= Fraction(value) <= high
    if value:
        assert high - low <= Fraction(10) ** (2 - digits) * abs(Fraction(value))


def ends_of(written: str) -> tuple[Fraction, Fraction]:
    """Read an interval, which is one number where both ends are written alike."""
    ends = [Fraction(end.rstrip("%")) for end in written.split(" to ")]
    assert len(set(ends)) == len(ends)
    return ends[0], ends[-1]


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_places_are_rounded_outward_and_by_less_than_one_unit(value: float, places: int) -> None:
    low, high = ends_of(span(value, value, places))
    assert low <= Fraction(value) <= high <= low + Fraction(1, 10**places)
    low, high = ends_of(percent_span(value, value, places))
    assert low <= 100 * Fraction(value) <= high <= low + Fraction(1, 10**places)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (at_most(0.5, 3), "0.5"),
        (at_most(1.3e-7, 2), "1.3e-7"),  # the float is below
        (at_most(1.1e-7, 2), "1.2e-7"),  # and above
        (at_least(0.0, 3), "0"),
        (at_least(-0.0, 3), "0"),
        (at_least(123456.0, 3), "1.23e+5"),
        (at_most(math.inf, 3), "inf"),
        (percent_at_least(1.0), "100.0%"),
        (percent_at_least(Fraction(29, 100)), "29.0%"),
        (percent_at_most(Fraction(57, 100)), "57.0%"),
        (percent_at_most(0.0), "0.0%"),
    ],
)
def test_how_it_looks(written: str, wanted: str) -> None:
    assert written == wanted
