"""Proven numbers in words, rounded so that no more is said than is proven."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction


def at_least(value: float, digits: int) -> str:
    """Write a proven lower bound in so many significant digits, rounded down.

    Property: the number that is written is at most `value`.

    >>> at_least(0.12999, 2)
    '0.12'
    """
    return _significant(value, digits, ROUND_FLOOR)


def at_most(value: float, digits: int) -> str:
    """Write a proven upper bound in so many significant digits, rounded up.

    Property: the number that is written is at least `value`.

    >>> at_most(0.12001, 2)
    '0.13'
    """
    return _significant(value, digits, ROUND_CEILING)


def span(low: float, high: float, places: int) -> str:
    """Write the proven ends of an interval with so many places after the point, rounded outward.

    One number stands where both ends are written alike.

    >>> span(0.25, 0.31253, 4), span(0.5, 0.5, 4)
    ('0.2500 to 0.3126', '0.5000')
    """
    ends = _fixed(low, places, ROUND_FLOOR), _fixed(high, places, ROUND_CEILING)
    return " to ".join(dict.fromkeys(ends))


def percent_span(low: float | Fraction, high: float | Fraction, places: int = 1) -> str:
    """Write the proven ends of an interval of shares as percentages, rounded outward; one where they are written alike.

    >>> percent_span(0.56474, 0.56503), percent_span(1.0, 1.0)
    ('56.4% to 56.6%', '100.0%')
    """
    ends = percent_at_least(low, places), percent_at_most(high, places)
    return " to ".join(dict.fromkeys(ends))


def percent_at_least(share: float | Fraction, places: int = 1) -> str:
    """Write a proven share as a percentage, rounded down; of counts give the exact ratio.

    >>> percent_at_least(Fraction(2499, 2500)), percent_at_least(Fraction(95, 100))
    ('99.9%', '95.0%')
    """
    return f"{_fixed(share, places, ROUND_FLOOR, 100)}%"


def percent_at_most(share: float | Fraction, places: int = 1) -> str:
    """Write a share that is proven not to be exceeded as a percentage, rounded up.

    >>> percent_at_most(Fraction(1, 2500)), percent_at_most(Fraction(1, 100))
    ('0.1%', '1.0%')
    """
    return f"{_fixed(share, places, ROUND_CEILING, 100)}%"


def _significant(value: float, digits: int, rounding: str) -> str:
    if not math.isfinite(value):
        return f"{value:g}"
    rounded = Context(prec=digits, rounding=rounding).create_decimal(value + 0.0).normalize()  # no minus zero
    return f"{rounded:{_style(value, digits)}}"


def _style(value: float, digits: int) -> str:
    """Choose between 0.0012 and 1.2e-7 as `g` does."""
    return "f" if value == 0 or 1e-5 <= abs(value) < 10.0**digits else "e"


def _fixed(value: float | Fraction, places: int, rounding: str, scale: int = 1) -> str:
    if not math.isfinite(value):
        return f"{value:g}"
    units = Fraction(value) * scale * 10**places
    whole = math.floor(units) if rounding == ROUND_FLOOR else math.ceil(units)
    return f"{Decimal(whole).scaleb(-places, Context(prec=400)):f}"
