"""Balls of inputs: bounds hold and are tight, projections are the nearest inputs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from networks import random_network
from surefoot.core.rounding import REAL
from surefoot.graph.graph import evaluate
from surefoot.reach.balls import directions_of_ball, dual_norm, projected
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import Ball

norms = st.sampled_from([1, 2])
seeds = st.integers(0, 10**6)


def drawn(seed: int, norm: int) -> tuple[np.random.Generator, torch.Tensor, torch.Tensor, torch.Tensor, Ball]:
    """Draw coefficients, and a box around the centre of a ball that it may cut, or not."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 7))
    centre = rng.normal(size=d)
    low, high = (torch.from_numpy(centre + sign * rng.exponential(size=d)) for sign in (-1, 1))
    a = torch.from_numpy(rng.normal(size=d) * (rng.random(d) < 0.8))
    return rng, a, low, high, Ball(centre, float(rng.exponential()), 1 if norm == 1 else 2)


def bound_of(a: torch.Tensor, low: torch.Tensor, high: torch.Tensor, ball: Ball) -> tuple[float, torch.Tensor]:
    y = directions_of_ball(a.reshape(1, 1, -1), low[None], high[None], ball)[0, 0]
    rest = a + y
    least = rest.clamp(min=0) @ low + rest.clamp(max=0) @ high - y @ torch.from_numpy(ball.centre)
    return float(least - ball.radius * dual_norm(y, ball.norm)), y


@given(seeds, norms)
def test_the_bound_is_the_least_value(seed: int, norm: int) -> None:
    rng, a, low, high, ball = drawn(seed, norm)
    bound, _ = bound_of(a, low, high, ball)
    c = ball.centre
    if norm == 1:  # x = c + p - q, p, q >= 0
        both = np.concatenate([a.numpy(), -a.numpy()])
        ends = [(0, float(h)) for h in high.numpy() - c] + [(0, float(e)) for e in c - low.numpy()]
        least = linprog(both, np.ones((1, len(both))), [ball.radius], bounds=ends).fun + a.numpy() @ c
    else:
        limit = {"type": "ineq", "fun": lambda x: ball.radius**2 - ((x - c) ** 2).sum()}
        least = min(
            minimize(lambda x: a.numpy() @ x, c - s * a.numpy(), method="SLSQP", constraints=[limit],
                     bounds=list(zip(low.tolist(), high.tolist(), strict=True)), options={"ftol": 1e-12}).fun
            for s in (0.0, 0.1)
        )  # fmt: skip
    assert abs(bound - least) <= 1e-4 * (1 + abs(least))  # which is how well the judge knows it
    moved = torch.from_numpy(c + rng.normal(size=(300, len(c))) * rng.exponential(size=(300, 1)))
    assert bool((projected(moved, ball).clamp(low, high) @ a >= bound - 1e-12).all())


@given(seeds, norms)
def test_its_gradient_is_one_of_the_least_value(seed: int, norm: int) -> None:
    """The least of a x is concave in a, and at most what it is along the slope: the input where it is taken."""
    _, a, low, high, ball = drawn(seed, norm)
    a = torch.where(a == 0, 0.1 + 0.01 * torch.arange(len(a)), a).requires_grad_(True)  # no two alike
    y = directions_of_ball(a.reshape(1, 1, -1), low[None], high[None], ball)[0, 0]
    rest = a + y
    bound = rest.clamp(min=0) @ low + rest.clamp(max=0) @ high - y @ torch.from_numpy(ball.centre)
    bound = bound - ball.radius * dual_norm(y, ball.norm)
    (slope,) = torch.autograd.grad(bound, a)
    for size in (0.01, 1.0):
        step = size * torch.randn(len(a), generator=torch.Generator().manual_seed(seed), dtype=a.dtype)
        after, _ = bound_of(a.detach() + step, low, high, ball)
        assert after <= float(bound.detach()) + float(slope @ step) + 1e-6


@given(seeds, norms)
def test_the_nearest_input_is_found(seed: int, norm: int) -> None:
    rng, _, low, high, ball = drawn(seed, norm)
    x = torch.from_numpy(ball.centre + 2 * rng.normal(size=(4, len(ball.centre))))
    near = projected(x, ball)
    for row, given_row in zip(near.numpy(), x.numpy(), strict=True):
        assert ball.distance(row) == 0
        others = ball.centre + rng.normal(size=(200, len(row)))
        others = projected(torch.from_numpy(others), ball).numpy()
        assert np.linalg.norm(given_row - row) <= np.linalg.norm(given_row - others, axis=1).min() + 1e-5
    inside = near.clamp(low, high)
    assert all(ball.distance(row) == 0 for row in inside.numpy())  # the box holds the centre


@pytest.mark.parametrize("norm", [1, 2])
def test_crown_holds_in_a_ball_and_knows_more_than_the_box(norm: int) -> None:
    tighter = 0
    for seed in range(8):
        graph = random_network(seed).to(torch.float64)
        d = int(np.prod(graph.input_shape))
        rng = np.random.default_rng(seed)
        centre, radius = rng.normal(size=d), 0.5
        ball = Ball(centre, radius, 1 if norm == 1 else 2)
        region = Box(*(torch.from_numpy(centre + s * radius).reshape(1, *graph.input_shape) for s in (-1, 1)))
        rows = torch.eye(int(np.prod(graph.output_shape)), dtype=torch.float64)
        rows = torch.cat([rows, -rows]).reshape(1, -1, *graph.output_shape)
        bounds = [
            lower_bounds(relax(graph, region, REAL, tighten_by_crown, constraints=limits), len(graph.nodes) - 1, rows)
            for limits in (ball, None)
        ]
        assert bool((bounds[0] >= bounds[1] - 1e-9).all())
        tighter += int((bounds[0] > bounds[1] + 1e-3).any())
        moved = rng.normal(size=(500, d)) * rng.exponential(size=(500, 1))
        x = projected(torch.from_numpy(centre + moved), ball).clamp(region.lower.flatten(), region.upper.flatten())
        y = evaluate(graph, x.reshape(-1, *graph.input_shape)).flatten(1)
        assert bool((torch.cat([y, -y], 1) >= bounds[0]).all())
    assert tighter >= 4
