"""Clauses mean what the formulas do that they were made of, at any point."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.spec import formula
from surefoot.spec.formula import Atom, Clauses, Term, at_most, comparison, conjunction, renamed

numbers = st.fractions(-3, 3, max_denominator=4)
terms = st.builds(Term, st.dictionaries(st.sampled_from(["X_0", "X_1", "Y_0"]), numbers, max_size=3), numbers)
points = st.fixed_dictionaries({name: numbers for name in ("X_0", "X_1", "Y_0")})
SIGNS = {
    "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
    "=": lambda a, b: a == b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def value(term: Term, point: dict[str, Fraction]) -> Fraction:
    products = ((w, [point[factor] for factor in name.split("*")]) for name, w in term.weights.items())
    return sum((w * math.prod(factors) for w, factors in products), term.constant)


def holds(atom: Atom, point: dict[str, Fraction]) -> bool:
    total = value(Term(atom.weights, Fraction(0)), point)
    return total < atom.bound if atom.strict else total <= atom.bound


def meant(clauses: Clauses, point: dict[str, Fraction]) -> bool:
    return any(all(holds(atom, point) for atom in clause) for clause in clauses)


@given(terms, terms, points, st.sampled_from(sorted(SIGNS)))
def test_a_comparison_is_what_its_sign_says(left: Term, right: Term, point: dict[str, Fraction], sign: str) -> None:
    assert meant(comparison(sign, left, right), point) == SIGNS[sign](value(left, point), value(right, point))


@given(st.lists(st.tuples(terms, terms, st.sampled_from(sorted(SIGNS))), min_size=1, max_size=5), points)
def test_a_conjunction_holds_where_all_do(parts: list[tuple[Term, Term, str]], point: dict[str, Fraction]) -> None:
    clauses: Clauses = [[]]
    for left, right, sign in parts:
        clauses = conjunction(clauses, comparison(sign, left, right))
    assert meant(clauses, point) == all(SIGNS[sign](value(a, point), value(b, point)) for a, b, sign in parts)


@given(terms, terms, points)
def test_terms_are_added_and_multiplied(one: Term, two: Term, point: dict[str, Fraction]) -> None:
    a, b = value(one, point), value(two, point)
    assert value(one.plus(two, -3), point) == a - 3 * b
    product = one.times(two)
    assert product is not None
    assert value(product, point) == a * b
    again = product.times(one)
    assert again is None or value(again, point) == a * b * a


@given(terms, terms, points)
def test_names_may_become_one(one: Term, two: Term, point: dict[str, Fraction]) -> None:
    atom = at_most(one, two)
    (new,) = renamed([atom], {"X_1": "X_0"})
    assert "X_1" not in new.weights
    assert holds(new, point) == holds(atom, {**point, "X_1": point["X_0"]})


def test_cases_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    four = comparison("!=", Term({}, Fraction(0)), Term({}, Fraction(1))) * 2
    assert len(conjunction(four, four)) == 16
    monkeypatch.setattr(formula, "LARGEST_CLAUSES", 15)
    with pytest.raises(InputError, match="more than 15 cases"):
        conjunction(four, four)
    assert len(list(itertools.chain(*four))) == 4
