"""Convex hulls of single neurons: sound for any choice, triangles among them, and the hull where ascent ends."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from surefoot.reach.dense import DenseBounds, DenseNetwork
from surefoot.reach.neuron_hulls import HullChoice, HullProblem, ascend_by_hulls, bound_by_hulls


def network_of(seed: int, widths: tuple[int, ...]) -> DenseNetwork:
    draws = np.random.default_rng(seed)
    weights = [draws.normal(size=(m, n)) / n**0.5 for n, m in pairwise(widths)]
    biases = [0.3 * draws.normal(size=m) for m in widths[1:]]
    return DenseNetwork(*(tuple(torch.from_numpy(x) for x in group) for group in (weights, biases)))


def values_of(network: DenseNetwork, x: Tensor) -> list[Tensor]:
    """Give the values entering the ReLUs, and the outputs."""
    out = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        out.append(x @ weight.T + bias)
        x = out[-1].clamp(min=0)
    return out


def problem_of(network: DenseNetwork, seed: int, n: int = 3, radius: float = 1.0) -> HullProblem:
    draws = torch.Generator().manual_seed(seed)
    d, out = network.weights[0].shape[1], len(network.biases[-1])
    middle = torch.randn(n, d, generator=draws, dtype=torch.float64)
    low, high = middle - radius, middle + radius
    bounds = DenseBounds(network, low, high, torch.zeros(n, dtype=torch.bool))
    rows = torch.randn(n, out, generator=draws, dtype=torch.float64)
    constants = torch.randn(n, generator=draws, dtype=torch.float64)
    signs = torch.zeros_like(bounds.lower)
    return HullProblem(network, rows, constants, low, high, bounds.lower, bounds.upper, signs)


def any_choice(problem: HullProblem, seed: int) -> HullChoice:
    draws = torch.Generator().manual_seed(seed)
    start = problem.triangles()
    k = len(start.slopes)
    parts = []
    for i, x in enumerate(start.parts):
        noise = torch.randn(x.shape, generator=draws, dtype=x.dtype)
        moved = x + noise
        parts.append(moved.clamp(0, 1) if i // k in (0, 2) else moved.clamp(min=0) if i // k == 3 else moved)
    return start.with_parts(parts)


@pytest.mark.parametrize("widths", [(4, 6, 2), (5, 6, 5, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_any_choice_is_sound_on_the_part_that_its_signs_speak_of(seed: int, widths: tuple[int, ...]) -> None:
    network = network_of(seed, widths)
    problem = problem_of(network, seed)
    draws = torch.Generator().manual_seed(seed)
    signs = torch.randint(-1, 2, problem.signs.shape, generator=draws).double()
    lower = torch.where(signs > 0, problem.lower.clamp(min=0), problem.lower)
    upper = torch.where(signs < 0, problem.upper.clamp(max=0), problem.upper)
    for given in (problem, replace(problem, lower=lower, upper=upper, signs=signs)):
        for choice in (given.triangles(), any_choice(given, seed), any_choice(given, seed + 1)):
            bounds, _ = bound_by_hulls(given, choice)
            plain, _ = bound_by_hulls(given, choice, rounded=False)
            assert bool((bounds <= plain).all())
            torch.testing.assert_close(bounds, plain, rtol=1e-9, atol=1e-9)
            share = torch.rand(4000, 3, widths[0], generator=draws, dtype=torch.float64)
            x = given.low + share * (given.high - given.low)
            *hidden, y = values_of(network, x)
            z = torch.cat(hidden, 2)
            inside = ((z >= given.lower) & (z <= given.upper)).all(2)
            value = (y * given.rows).sum(2) + given.constants
            assert bool((torch.where(inside, value, torch.inf) >= bounds - 1e-12).all())


@pytest.mark.parametrize("seed", range(2))
def test_one_neuron_is_bounded_by_its_hull(seed: int) -> None:
    """-relu(w v + b) + c v over a box is least at a corner: 2^4 of them are the judge, and no triangle reaches that."""
    draws = np.random.default_rng(seed)
    network = network_of(seed, (4, 1, 1))
    weight, bias = network.weights[0][0].numpy(), float(network.biases[0][0])
    c = draws.normal(size=4)
    # the row c v is written with two more ReLUs that are always active
    first = torch.from_numpy(np.stack([weight, c]))
    network = DenseNetwork(
        (first, torch.tensor([[-1.0, 1.0]]).double()), (torch.tensor([bias, 50.0]).double(), torch.zeros(1).double())
    )
    low, high = -torch.ones(1, 4).double(), torch.ones(1, 4).double()
    bounds = DenseBounds(network, low, high, torch.zeros(1, dtype=torch.bool))
    one = torch.ones(1, 1).double()
    problem = HullProblem(
        network, one, -50 * one[0], low, high, bounds.lower, bounds.upper, torch.zeros_like(bounds.lower)
    )
    least = min(
        -max(float(weight @ x) + bias, 0.0) + float(c @ x) for x in map(np.array, product((-1.0, 1.0), repeat=4))
    )
    choice, found = ascend_by_hulls(problem, problem.triangles(), 300, enough=np.inf)
    assert float(found) <= least + 1e-9
    assert float(found) == pytest.approx(least, abs=5e-2)
    assert float(bound_by_hulls(problem, choice)[0]) == pytest.approx(float(found), abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_ascent_passes_the_linear_program_of_triangles(seed: int) -> None:
    network = network_of(seed, (8, 10, 1))
    problem = problem_of(network, seed, n=1)
    _, found = ascend_by_hulls(problem, problem.triangles(), 200, enough=np.inf)
    d, m = 8, 10
    weight, bias = network.weights[0].numpy(), network.biases[0].numpy()
    low, high = problem.lower[0].numpy(), problem.upper[0].numpy()
    rows, right = [], []
    for j in range(m):
        unit = np.eye(m)[j]
        rows.append(np.concatenate([weight[j], -unit]))
        right.append(-bias[j])  # y >= z
        if low[j] >= 0:
            rows.append(np.concatenate([-weight[j], unit]))
            right.append(bias[j])
        elif high[j] > 0:
            rising = high[j] / (high[j] - low[j])
            rows.append(np.concatenate([-rising * weight[j], unit]))
            right.append(rising * (bias[j] - low[j]))
        else:
            rows.append(np.concatenate([np.zeros(d), unit]))
            right.append(0.0)
    row = (problem.rows @ network.weights[1])[0].numpy()
    ends = [*zip(problem.low[0].tolist(), problem.high[0].tolist(), strict=True), *[(0.0, None)] * m]
    program = linprog(np.concatenate([np.zeros(d), row]), np.array(rows), np.array(right), bounds=ends)
    constant = float(problem.rows[0] @ network.biases[1] + problem.constants[0])
    assert float(found) >= program.fun + constant - 1e-2


def test_bounds_of_several_are_those_of_each() -> None:
    network = network_of(0, (4, 6, 5, 2))
    problem = problem_of(network, 0)
    choice = any_choice(problem, 0)
    bounds, a = bound_by_hulls(problem, choice)
    for i in range(3):
        which = torch.tensor([i])
        one, b = bound_by_hulls(problem.of(which), choice.of(which))
        torch.testing.assert_close(one, bounds[which])
        torch.testing.assert_close(b, a[which])
    stacked = HullChoice.stacked([choice.of(torch.tensor([i])) for i in range(3)])
    assert all(torch.equal(x, y) for x, y in zip(stacked.parts, choice.parts, strict=True))


def test_what_is_no_number_proves_nothing() -> None:
    problem = problem_of(network_of(0, (3, 4, 2)), 0)
    choice = problem.triangles()
    broken = choice.with_parts([torch.full_like(x, torch.nan) for x in choice.parts])
    assert bool((bound_by_hulls(problem, broken)[0] == -torch.inf).all())
