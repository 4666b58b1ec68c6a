"""Cases as questions: nothing is lost, nothing is invented, and bounds that follow from others are found."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.spec.cases import EmptyRegion, Property, property_of
from surefoot.spec.formula import Assertions, Atom

weights = st.sampled_from([Fraction(n, d) for n in (-2, -1, 1, 3) for d in (1, 3, 4)])
names = st.sampled_from(["X_0", "X_1", "X_2", "Y_0", "Y_1", "X_0*X_1", "X_2*Y_0", "Y_1*Y_1"])
terms = st.dictionaries(names, weights, min_size=1, max_size=3)
atoms = st.builds(Atom, terms, st.fractions(-2, 2, max_denominator=6), st.booleans())
BOX = [Atom({f"X_{i}": Fraction(s)}, Fraction(1)) for i in range(3) for s in (1, -1)]  # the inputs from -1 to 1


def asserted(common: list[Atom], *cases: list[Atom]) -> Assertions:
    made = Assertions()
    made.add([common])
    if cases:
        made.add(list(cases))
    return made


def holds(atom: Atom, point: dict[str, Fraction]) -> bool:
    products = ((w, [point[factor] for factor in name.split("*")]) for name, w in atom.weights.items())
    total = sum((w * math.prod(factors) for w, factors in products), Fraction(0))
    return total < atom.bound or (total == atom.bound and not atom.strict)


def seen(asked: Property, x: np.ndarray, y: np.ndarray) -> bool:
    given_ = np.concatenate([y, x]) if asked.of_inputs else y
    given_ = np.concatenate([given_, [given_[i] * given_[j] for i, j in asked.products]])
    return any(query.inputs.contains(x) and query.broken_by(given_) for query in asked.queries)


@given(st.lists(atoms, max_size=3), st.lists(st.lists(atoms, min_size=1, max_size=3), min_size=2, max_size=3),
       st.lists(st.integers(-8, 8), min_size=5, max_size=5), st.integers(0, 4))  # fmt: skip
def test_a_point_is_asked_about_where_the_conditions_hold(
    common: list[Atom], cases: list[list[Atom]], eighths: list[int], end: int
) -> None:
    numbers = [Fraction(n, 8) for n in eighths]
    bound = (common + cases[0])[-1]
    numbers[end] = Fraction(float(bound.bound))  # on an end, where it is a float64 number
    point = dict(zip(["X_0", "X_1", "X_2", "Y_0", "Y_1"], numbers, strict=True))
    said = all(holds(a, point) for a in [*BOX, *common]) and any(all(holds(a, point) for a in case) for case in cases)
    try:
        asked = property_of(asserted([*BOX, *common], *cases), 3, 2)
    except EmptyRegion:
        assert not said
        return
    x, y = np.array(numbers[:3], float), np.array(numbers[3:], float)
    assert seen(asked, x, y) == said
    if said:  # what proofs speak of holds it, too
        assert any((q.inputs.lower <= x).all() and (x <= q.inputs.upper).all() for q in asked.queries)


def test_bounds_that_follow_from_others_are_found() -> None:
    order = Atom({"X_0": Fraction(1), "X_1": Fraction(-1)}, Fraction(0))  # x0 <= x1
    ends = [Atom({"X_0": Fraction(-1)}, Fraction(2)), Atom({"X_1": Fraction(1)}, Fraction(3))]
    (query,) = property_of(asserted([order, *ends, Atom({"Y_0": Fraction(1)}, Fraction(0))]), 2, 1).queries
    assert query.inputs.lower.tolist() == [-2, -2]
    assert query.inputs.upper.tolist() == [3, 3]
    assert query.inputs.constraints is not None
    assert query.inputs.constraints.rows.tolist() == [[1, -1]]


def test_implications_stay_short_and_quick() -> None:
    """A chain of conditions, each of long decimals: what follows is rounded outward, not written out."""
    factor = Fraction(10**20 + 1, 10**20 + 3)
    chain = [Atom({f"X_{i + 1}": Fraction(1), f"X_{i}": -factor}, Fraction(0)) for i in range(300)]
    ends = [Atom({f"X_{i}": Fraction(-1)}, Fraction(0)) for i in range(301)] + [Atom({"X_0": Fraction(1)}, Fraction(1))]
    (query,) = property_of(asserted([*chain, *ends, Atom({"Y_0": Fraction(1)}, Fraction(0))]), 301, 1).queries
    assert 1 - 1e-12 < query.inputs.upper[-1] <= 1
    assert query.inputs.upper[-1] >= float(factor**300)
    assert all(end.denominator.bit_length() < 600 for pair in query.inputs.exact.values() for end in pair)


def test_an_empty_region_is_told_from_a_wrong_question() -> None:
    none = Atom({"X_0": Fraction(1), "X_1": Fraction(1)}, Fraction(-3))
    with pytest.raises(EmptyRegion, match="several inputs"):
        property_of(asserted([*BOX, none, Atom({"Y_0": Fraction(1)}, Fraction(0))]), 3, 1)
    with pytest.raises(EmptyRegion, match="lower bound is above"):
        property_of(asserted([*BOX, Atom({"X_0": Fraction(1)}, Fraction(-3))]), 3, 1)


def test_conditions_that_a_box_says_are_not_asked_of_outputs() -> None:
    row = Atom({"X_0": Fraction(1), "X_1": Fraction(2)}, Fraction(1))
    unsafe = Atom({"Y_0": Fraction(1)}, Fraction(0))
    assert not property_of(asserted([*BOX, row, unsafe]), 3, 1).of_inputs
    strict = Atom({"X_0": Fraction(1)}, Fraction(1), strict=True)
    long = Atom({"X_0": Fraction(1, 3), "X_1": Fraction(10**20 + 1, 7)}, Fraction(1))
    for atom in (strict, long, Atom({"X_0": Fraction(1), "Y_0": Fraction(1)}, Fraction(1))):
        asked = property_of(asserted([*BOX, atom, unsafe]), 3, 1)
        assert asked.of_inputs
        assert asked.queries[0].unsafe[0].weights.shape[1] == 4
