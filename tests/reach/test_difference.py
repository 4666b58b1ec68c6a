"""Bounds of two networks together: no exact value, difference or row lies outside, and what is alike stays near."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pairs import KINDS, exactly, network_of, pair_of, twin_of
from surefoot.reach.dense import DenseBounds
from surefoot.reach.difference import DensePair, PairBounds, planes_of

REAL = torch.zeros(2, dtype=torch.bool)


def two_boxes(rng: np.random.Generator, inputs: int, width: float) -> tuple[torch.Tensor, torch.Tensor]:
    centre, radius = rng.normal(size=(2, inputs)), width * rng.random((2, inputs)) * (rng.random((2, inputs)) < 0.9)
    return torch.from_numpy(centre - radius), torch.from_numpy(centre + radius)


def see_sound(over: PairBounds, weights: torch.Tensor, x: np.ndarray, box: int) -> None:
    """Compare with exact values at an input of a box."""
    (z, f), (y, g) = exactly(over.pair.first, x), exactly(over.pair.second, x)
    for part, values in zip(over.parts, (z, y, z - y), strict=True):
        for low, value, high in zip(part.lower[box].tolist(), values, part.upper[box].tolist(), strict=True):
            assert low <= value <= high
    bounds, _, lines = over.rows(weights)
    both = np.concatenate([f, f - g])
    ends = np.where(lines[box].numpy() > 0, over.low[box].numpy(), over.high[box].numpy())
    for row, bound, line, end in zip(weights.tolist(), bounds[box].tolist(), lines[box].tolist(), ends, strict=True):
        value = sum(Fraction(w) * v for w, v in zip(row, both, strict=True))
        risen = sum(Fraction(c) * (Fraction(v) - Fraction(e)) for c, v, e in zip(line, x, end, strict=True))
        assert Fraction(bound) <= value
        assert risen >= 0
        assert float(Fraction(bound) + risen - value) <= 1e-9 * (1 + abs(float(value)) + abs(float(risen)))


def a_point(rng: np.random.Generator, low: torch.Tensor, high: torch.Tensor) -> np.ndarray:
    """Return an input of a box, often a corner."""
    share = rng.random(len(low))
    share = np.where(rng.random(len(low)) < 0.5, share.round(), share)
    return np.clip(low.numpy() + share * (high - low).numpy(), low.numpy(), high.numpy())


@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from([1e-3, 0.3, 3.0]))
def test_no_exact_value_lies_outside(seed: int, kind: str, width: float) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (3, *rng.integers(2, 5, int(rng.integers(1, 4))).tolist(), 2))
    pair = pair_of(first, twin_of(rng, first, kind))
    low, high = two_boxes(rng, 3, width)
    weights = torch.from_numpy(np.concatenate([np.eye(4)[2:], -np.eye(4)[2:], rng.normal(size=(1, 4))]))
    over = pair.over(low, high, REAL, None)
    for _ in range(3):  # boxes, and parts of parts, which inherit bounds
        for box in range(2):
            see_sound(over, weights, a_point(rng, low[box], high[box]), box)
        middle, axis = (low + high) / 2, int(rng.integers(3))
        high = high.clone()
        high[:, axis] = middle[:, axis]
        over = pair.over(low, high, REAL, over.known_within(torch.arange(2), low, high))


@pytest.mark.parametrize("scale", [1e-160, 1e-60, 1e60])
@pytest.mark.parametrize("seed", range(3))
def test_products_that_are_too_small_are_paid_for(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (2, 3, 3, 2), scale)
    pair = pair_of(first, twin_of(rng, first, "one weight"))
    low, high = two_boxes(rng, 2, 1.0)
    weights = torch.cat([torch.zeros(2, 2), torch.eye(2)], 1).double()
    over = pair.over(low, high, REAL, None)
    for _ in range(10):
        x = a_point(rng, low[0], high[0])
        (_, f), (_, g) = exactly(pair.first, x), exactly(pair.second, x)
        for bound, value in zip(over.rows(weights)[0][0].tolist(), f - g, strict=True):
            assert not bound > value


@given(st.integers(0, 10**6))
def test_planes_hold_for_all_values_between_the_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(size=(2, 50)), 0)
    low_, high_ = np.sort(rng.normal(size=(2, 50)), 0)
    share, share_ = rng.random((2, 40, 50)).round(int(rng.integers(3)))
    z, y = low + share * (high - low), low_ + share_ * (high_ - low_)
    d = z - y
    ends = (low, high), (low_, high_), (d.min(0), d.max(0))  # as close as any sound ones
    tensors = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in ends]
    p, q, c, p_, q_, c_ = (plane.numpy() for plane in planes_of(*tensors))
    e = np.maximum(z, 0) - np.maximum(y, 0)
    assert (p * d + q * z + c <= e + 1e-12).all()
    assert (p_ * d + q_ * z + c_ >= e - 1e-12).all()
    stable = ~((low < 0) & (high > 0)) & ~((low_ < 0) & (high_ > 0))
    np.testing.assert_allclose((p * d + q * z + c)[:, stable], e[:, stable], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_networks_that_are_alike_have_small_differences(seed: int) -> None:
    """Where both are bounded apart, the difference is as wide as the outputs are."""
    rng = np.random.default_rng(seed)
    first = network_of(rng, (3, 8, 8, 8, 2))
    pair = pair_of(first, twin_of(rng, first, "last place"))
    low, high = -torch.ones(1, 3).double(), torch.ones(1, 3).double()
    rows = torch.cat([torch.zeros(2, 2), torch.eye(2)], 1).double()
    together = pair.over(low, high, REAL[:1], None).rows(rows)[0]
    apart = DenseBounds(pair.first, low, high, REAL[:1]).rows(torch.eye(2).double())[0]
    apart = apart + DenseBounds(pair.second, low, high, REAL[:1]).rows(-torch.eye(2).double())[0]
    assert float(together.min()) > -1e-9
    assert float(apart.max()) < -0.1


def test_networks_of_other_layouts_make_no_pair() -> None:
    rng = np.random.default_rng(0)
    one, two, three = (network_of(rng, sizes) for sizes in ((2, 3, 1), (2, 4, 1), (2, 3, 3, 1)))
    assert DensePair.of(one, two) is None
    assert DensePair.of(one, three) is None
    assert pair_of(one, one).is_equal


@pytest.mark.parametrize("seed", range(3))
def test_what_a_bisection_is_worth_is_estimated_as_its_halves_are_bounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (3, 6, 6, 2))
    pair = pair_of(first, twin_of(rng, first, "noise"))
    low, high = two_boxes(rng, 3, 0.5)
    rows = torch.cat([torch.zeros(2, 2), torch.eye(2)], 1).double()
    over = pair.over(low, high, REAL, None)
    estimates = over.after_bisections(torch.arange(2), low, high, rows, (0, 2))
    whole = over.rows(rows)[0]
    assert estimates.shape == (2, 2, 2, 2)
    for at, axis in enumerate((0, 2)):
        left = high.clone()
        left[:, axis] = ((low + high) / 2)[:, axis]
        half = pair.over(low, left, REAL, over.known_within(torch.arange(2), low, left)).rows(rows)[0]
        estimate = estimates[:, at, 0]
        assert bool((estimate >= whole - 0.5 * whole.abs() - 1e-9).all())  # a guide: no worse than the whole, about
        assert bool((half >= estimate - 0.5 * estimate.abs() - 1e-9).all())
