"""Inputs inside of a set satisfy its constraints, and are moved no further than they must be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.compress.interior import inside, pulled, with_interior
from surefoot.core.errors import InputError
from surefoot.spec.input_set import Ball, InputSet, LinearConstraints

CUBE = InputSet(np.zeros(3), np.ones(3))


def cut(rows: list[list[float]], bounds: list[float]) -> InputSet:
    return InputSet(CUBE.lower, CUBE.upper, LinearConstraints.of(rows, bounds))


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_interior_and_samples_lie_inside_but_for_rounding(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.normal(size=4)
    high = low + rng.exponential(size=4) * (rng.random(4) < 0.8)
    rows = rng.normal(size=(count, 4))
    bounds = rows @ (low + rng.random(4) * (high - low)) + 0.1 * rng.random(count)
    inputs = with_interior(InputSet(low, high, LinearConstraints(rows, bounds)))
    assert inputs.interior is not None
    x = inside(inputs, (2, 2), 50, seed).flatten(1).numpy()
    assert x.shape == (50, 4)
    for point in (inputs.interior, *x):
        assert inputs.distance(point) <= 1e-14 * (1 + np.abs(point).max())


def test_samples_of_a_box_lie_in_it_exactly_and_reach_its_corners() -> None:
    x = inside(CUBE, (3,), 1000).numpy()
    assert all(CUBE.contains(point) for point in x)
    assert ((x == 0) | (x == 1)).all(1).any()


def test_inputs_are_pulled_inside_and_not_moved_if_they_are() -> None:
    inputs = cut([[1.0, 0, 0], [0, -1.0, 0]], [0.5, -0.25])
    x = torch.rand(500, 3, dtype=torch.float64)
    moved = pulled(inputs, x)
    assert bool((moved[:, 0] <= 0.5 + 1e-12).all() & (moved[:, 1] >= 0.25 - 1e-12).all())
    own = (x[:, 0] <= 0.5) & (x[:, 1] >= 0.25)
    torch.testing.assert_close(moved[own], x[own], rtol=1e-8, atol=1e-8)
    assert pulled(CUBE, x) is x


def test_a_plane_is_a_domain_though_it_has_no_inside() -> None:
    interior = with_interior(cut([[1.0, 1, 1], [-1.0, -1, -1]], [1.0, -1.0])).interior
    assert interior is not None
    assert interior.sum() == pytest.approx(1, abs=1e-6)


def test_what_is_known_is_not_sought_again() -> None:
    assert with_interior(CUBE) is CUBE
    once = with_interior(cut([[1.0, 1, 1]], [1.0]))
    assert with_interior(once) is once


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        with_interior(cut([[1.0, 1, 1]], [-1.0]))


@given(
    st.integers(0, 10**6), st.sampled_from([1e-12, 1e-7, 1.0, 1e9]), st.sampled_from([1e-160, 1e-12, 1.0, 1e20, 1e160])
)
def test_the_scale_of_box_and_rows_does_not_matter(seed: int, width: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    low = width * rng.normal(size=3)
    high = low + width * rng.exponential(size=3)
    rows = scale * rng.normal(size=(2, 3))
    bounds = rows @ (low + rng.random(3) * (high - low)) + 0.01 * scale * width
    inputs = InputSet(low, high, LinearConstraints(rows, bounds))
    x = inside(inputs, (3,), 50, seed).numpy()
    for point in x:
        assert inputs.distance(point) <= 1e-14 * width


@pytest.mark.parametrize(
    ("lower", "upper", "rows", "bounds"),
    [
        ([0.5, 0.5], [0.5, 0.5], [[1, 1]], [0.2]),
        ([0.5, 0], [0.5, 1], [[1, 0]], [0.2]),
        ([0, 0], [1, 1], [[0, 0]], [-1]),
        ([0, 0], [1, 1], [[1, 0], [-1, 0]], [0.9, -0.900000001]),
        ([0, 0], [1e-9, 1e-9], [[1, 1]], [-1e-12]),
        ([0, 0], [1, 1], [[1e20, 1e20]], [-1e10]),
    ],
)
def test_an_empty_domain_is_refused(
    lower: list[float], upper: list[float], rows: list[list[float]], bounds: list[float]
) -> None:
    inputs = InputSet(np.array(lower, float), np.array(upper, float), LinearConstraints.of(rows, bounds))
    with pytest.raises(InputError, match="empty"):
        with_interior(inputs)


def test_a_ball_is_refused_by_name() -> None:
    """Inputs that are met in the box around it may lie outside of it."""
    domain = InputSet(-np.ones(2), np.ones(2), ball=Ball(np.zeros(2), 1.0, 2))
    with pytest.raises(InputError, match="the domain is a ball"):
        with_interior(domain)
