"""Sets of inputs hold what exact arithmetic says; distances from them are rounded upwards."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.spec.input_set import Ball, InputSet, LinearConstraints, Origin

SQUARE = InputSet(np.zeros(2), np.ones(2))
QUARTERS = st.integers(-8, 8).map(lambda n: n / 4)  # their sums and products are exact, so that ties are met
NUMBERS = QUARTERS | st.floats(-2, 2)


@given(st.data())
def test_a_set_contains_what_exact_arithmetic_says(data: st.DataObject) -> None:
    d, r = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 3))

    def drawn(count: int) -> np.ndarray:
        return np.array(data.draw(st.lists(NUMBERS, min_size=count, max_size=count)), dtype=np.float64)

    lower, upper = np.sort(np.stack([drawn(d), drawn(d)]), axis=0)
    constraints = LinearConstraints(drawn(r * d).reshape(r, d), drawn(r))
    x = drawn(d)
    inputs = InputSet(lower, upper, constraints)
    exact = [Fraction(v) for v in x.tolist()]
    inside = all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(lower.tolist(), exact, upper.tolist(), strict=True))
    for row, bound in zip(constraints.rows.tolist(), constraints.bounds.tolist(), strict=True):
        inside &= sum((Fraction(w) * v for w, v in zip(row, exact, strict=True)), Fraction(0)) <= Fraction(bound)
    assert inputs.contains(x) == inside
    assert (inputs.distance(x) == 0) == inside


@given(st.lists(st.tuples(QUARTERS, QUARTERS), min_size=1, max_size=3), st.integers(0, 8), st.sampled_from([1, 2]))
def test_a_ball_contains_what_exact_arithmetic_says(pairs: list[tuple[float, float]], quarters: int, norm: int) -> None:
    centre, x = np.array(pairs).T.copy()
    steps = [abs(Fraction(a) - Fraction(b)) for a, b in zip(x.tolist(), centre.tolist(), strict=True)]
    radius = Fraction(quarters, 4)
    inside = sum(steps) <= radius if norm == 1 else sum(step**2 for step in steps) <= radius**2
    around = InputSet(centre - 9, centre + 9, ball=Ball(centre, float(radius), 1 if norm == 1 else 2))
    assert around.contains(x) == inside
    far = np.linalg.norm(x - centre, ord=norm) - float(radius)
    assert inside or far - 1e-12 <= around.distance(x) <= far + 1e-9


def test_a_ball_goes_alone() -> None:
    with pytest.raises(InputError, match="neither with linear constraints"):
        InputSet(np.zeros(2), np.ones(2), LinearConstraints.of([[1, 1]], [1]), ball=Ball(np.zeros(2), 1.0, 2))
    with pytest.raises(InputError, match="a ball of 3 values does not fit 2 inputs"):
        InputSet(np.zeros(2), np.ones(2), ball=Ball(np.zeros(3), 1.0, 2))
    with pytest.raises(InputError, match="not finite"):
        Ball(np.array([np.nan]), 1.0, 2)


def test_a_bound_that_no_float64_holds_is_kept() -> None:
    third = Fraction(1, 3)
    inputs = InputSet(np.array([0.0]), np.array([np.nextafter(1 / 3, 1)]), exact={0: (Fraction(0), third)})
    assert inputs.contains(np.array([1 / 3]))
    assert not inputs.contains(inputs.upper)
    assert 0 < inputs.distance(inputs.upper) < 1e-16


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6))
def test_bounds_of_any_shape_and_type_are_the_same_set(pairs: list[tuple[float, float]]) -> None:
    ends = np.sort(np.array(pairs), axis=1)
    one = InputSet(ends[:, 0].copy(), ends[:, 1].copy())
    shape = (1, len(pairs))
    low, high = (torch.tensor(end).reshape(shape) for end in (ends[:, 0], ends[:, 1]))
    two = InputSet.of(low, high)
    for set_ in (one, two):
        assert (set_.size, set_.lower.dtype) == (len(pairs), np.float64)
        assert all(end.shape == shape for end in set_.ends(shape))
    assert (one.lower == two.lower).all()
    assert (one.upper == two.upper).all()


def test_coordinates_stand_for_inputs() -> None:
    origin = Origin(np.array([1.0, 2.0, 3.0]), np.array([[0.5, 0.0, 0.0], [0.0, 1.0, 1.0]]))
    inputs = InputSet(-np.ones(2), np.ones(2), origin=origin)
    assert origin(np.array([2.0, -1.0])).tolist() == [2.0, 1.0, 2.0]
    assert origin(np.zeros((4, 2))).shape == (4, 3)
    assert [x.tolist() for x, _ in inputs.boxes] == [[1.0, 2.0, 3.0], [0.5, 1.0, 2.0], [1.5, 3.0, 4.0]]
    with pytest.raises(InputError, match="coordinates"):
        inputs.ends((2,))
    ((lower, upper),) = SQUARE.boxes
    assert lower is SQUARE.lower
    assert upper is SQUARE.upper


def test_a_row_that_constrains_nothing_goes() -> None:
    constraints = LinearConstraints.of([[1, 2], [3, 4]], [np.inf, 5])
    assert constraints.rows.tolist() == [[3.0, 4.0]]
    assert constraints.bounds.tolist() == [5.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: InputSet.of([0, 0], [1]), "not those of one input"),
        (lambda: InputSet.of([], []), "not those of one input"),
        (lambda: InputSet.of([0, np.nan], [1, 1]), "lower bound of input 1 is nan"),
        (lambda: InputSet.of([0], [np.inf]), "upper bound of input 0 is inf"),
        (lambda: InputSet.of([0, 2], [1, 1]), "empty: input 1 from 2 to 1"),
        (lambda: replace(SQUARE, constraints=LinearConstraints.of([[1.0]], [1.0])), "do not fit 2 inputs"),
        (lambda: replace(SQUARE, origin=Origin(np.zeros(3), np.zeros((1, 3)))), "do not fit 2 coordinates"),
        (lambda: LinearConstraints.of([[1, 1]], [1, 2]), "one bound each"),
        (lambda: LinearConstraints.of([[np.nan, 1]], [1]), "finite numbers"),
        (lambda: LinearConstraints.of([[1, 1]], [np.nan]), "finite numbers"),
        (lambda: LinearConstraints.of([[1, 1]], [-np.inf]), "finite numbers"),
        (lambda: SQUARE.ends((3,)), "2 values does not fit a network of inputs"),
    ],
)  # fmt: skip
def test_what_is_no_set_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def cut_by(row: np.ndarray, bound: float) -> InputSet:
    d = len(row)
    return InputSet(np.full(d, -10.0), np.full(d, 10.0), LinearConstraints(row[None], np.array([bound])))


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
    inputs = InputSet(np.array([-10.1, -1.0]), np.array([0.1, 1.0]))
    far = max(Fraction(-10.1) - Fraction(x), Fraction(x) - Fraction(0.1), Fraction(0))
    assert far <= Fraction(inputs.distance(np.array([x, 0.0]))) <= far * (1 + Fraction(2, 10**15))
