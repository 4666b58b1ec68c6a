"""Around a point sets and bounds lose what the region is worth, not the values; exact fractions are the judge."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from rational import values_of
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.reach.alpha_crown import default_choice, optimize_slopes, tighten_by_alpha_crown
from surefoot.reach.around import around_region
from surefoot.reach.crown import lower_bounds
from surefoot.reach.exact_stars import exact
from surefoot.reach.ibp import Box
from surefoot.reach.reference import Reference, reference_at
from surefoot.reach.relaxation import Choice, Relaxation, relax
from surefoot.reach.star_state import State, begin
from surefoot.reach.stars import approximate
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import InputSet
from surefoot.verify.stars import star_of_inputs

SEEDS = range(12)
TINY = 1e-13  # beside values of about 1: less than float64 loses on the way to the output


def tiny_region(graph: Graph, seed: int, radius: float) -> InputSet:
    """Make a region about a point, with few free inputs."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(graph.input_shape))
    centre, free = rng.normal(size=size), rng.random(size) < 0.5
    free[0] = True
    return InputSet(np.where(free, centre - radius, centre), np.where(free, centre + radius, centre))


def reference_of(graph: Graph, inputs: InputSet) -> Reference:
    return reference_at(graph, star_of_inputs(inputs, graph.input_shape).form.centre.unsqueeze(0))


def relaxed(graph: Graph, inputs: InputSet, **more: object) -> Relaxation:
    region = Box.around(inputs, graph.input_shape)
    return relax(graph, region, REAL, around=around_region(reference_of(graph, inputs), region), **more)  # pyright: ignore[reportArgumentType]


def exact_outputs(graph: Graph, inputs: InputSet, seed: int, count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    corners = np.where(rng.random((count, inputs.size)) < 0.5, inputs.lower, inputs.upper)
    return [values_of(graph, x)[-1] for x in [*corners, (inputs.lower + inputs.upper) / 2]]


def check(lows: np.ndarray, highs: np.ndarray, outputs: list[np.ndarray], loss: float) -> None:
    """Bounds hold exactly, and are no farther from what was seen than `loss`."""
    for k in range(len(lows)):
        seen = [y[k] for y in outputs]
        assert Fraction(float(lows[k])) <= min(seen)
        assert max(seen) <= Fraction(float(highs[k]))
        assert float(min(seen) - Fraction(float(lows[k]))) <= loss
        assert float(Fraction(float(highs[k])) - max(seen)) <= loss


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("written", ["pools", "rectifiers"])
def test_crown_loses_what_the_region_is_worth(seed: int, written: str) -> None:
    graph = random_network(seed)
    graph = pools_as_relus(graph) if written == "rectifiers" else graph
    inputs = tiny_region(graph, seed, TINY)
    rows = torch.cat([torch.eye(3), -torch.eye(3)]).double().unsqueeze(0)
    bounds = lower_bounds(relaxed(graph, inputs), len(graph.nodes) - 1, rows)[0].numpy()
    check(bounds[:3], -bounds[3:], exact_outputs(graph, inputs, seed), 1e4 * TINY)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", ["zonotope", "triangle", "polytope"])
def test_stars_lose_what_the_region_is_worth(seed: int, rule: str) -> None:
    graph = random_network(seed)
    inputs = tiny_region(graph, seed, TINY)
    star = star_of_inputs(inputs, graph.input_shape)
    state = approximate(graph, begin(star, reference_of(graph, inputs)), rule)  # pyright: ignore[reportArgumentType]
    outputs = exact_outputs(graph, inputs, seed)
    low, high = (t.numpy() for t in state.star.form.box(state.predicate))
    error = state.star.form.error.numpy()
    check(low - error, high + error, outputs, 1e4 * TINY)
    for at, box in state.seen.items():
        for x in (inputs.lower, inputs.upper):
            truth = values_of(graph, x)[at]
            ends = zip(truth, box.lower.flatten().tolist(), box.upper.flatten().tolist(), strict=True)
            assert all(Fraction(low) <= t <= Fraction(high) for t, low, high in ends)


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_stars_cover_every_point(seed: int) -> None:
    graph = random_network(seed)
    for radius in (TINY, 1e-3):
        inputs = tiny_region(graph, seed, radius)
        star = star_of_inputs(inputs, graph.input_shape)
        states: list[State] = []
        for state in exact(graph, begin(star, reference_of(graph, inputs))):
            states.append(state)
            if len(states) > 200:
                return
        boxes = [(*(t.numpy() for t in s.star.form.box(s.predicate)), s.star.form.error.numpy()) for s in states]
        lows = np.min([low - error for low, _, error in boxes], 0)
        highs = np.max([high + error for _, high, error in boxes], 0)
        check(lows, highs, exact_outputs(graph, inputs, seed), 1e4 * radius)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_region_and_any_choice(seed: int) -> None:
    """Wide regions, tightened boxes, slopes by ascent, and signs that were decided: the bound holds at every point."""
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    x = samples(lower, upper, graph, 200, seed)
    y = evaluate(graph, x)
    rows = torch.from_numpy(np.concatenate([np.eye(3), -np.eye(3)])).unsqueeze(0)
    out = len(graph.nodes) - 1
    for tighten in (None, tighten_by_crown, tighten_by_alpha_crown(4)):
        relaxation = relaxed(graph, inputs, tighten=tighten)
        start = default_choice(relaxation, out, rows.shape[1])
        choice, reached = optimize_slopes(relaxation, out, rows, start, {}, 4)
        bounds = lower_bounds(relaxation, out, rows, choice)[0]
        assert bool((bounds <= reached[0] + 1e-9).all())
        assert bool(((y @ rows[0].T).min(0).values >= bounds - 1e-12 * (1 + y.abs().max())).all())
        for at in relaxation.relus():
            entering = graph.nodes[at].inputs[0]
            unstable = relaxation.unstable(at)
            if bool(unstable.any()):
                box = relaxation.boxes[entering]
                positive = Box(box.lower.where(~unstable, torch.zeros(())), box.upper)
                part = relaxation.over([positive if i == entering else b for i, b in enumerate(relaxation.boxes)])
                multipliers = {at: unstable.double().unsqueeze(1) * 0.1}
                bounds = lower_bounds(part, out, rows, Choice({}, multipliers))[0]
                kept = (values_before(graph, entering, x).flatten(1)[:, unstable.flatten()] >= 0).all(1)
                if bool(kept.any()):
                    least = (y[kept] @ rows[0].T).min(0).values
                    assert bool((least >= bounds - 1e-9 * (1 + y.abs().max())).all())
                break


def values_before(graph: Graph, at: int, x: torch.Tensor) -> torch.Tensor:
    return evaluate(Graph(graph.nodes[: at + 1]), x)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_as_tight_as_bounds_that_are_not_around_a_point(seed: int) -> None:
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    rows = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    plain = relax(graph, Box.around(inputs, graph.input_shape), REAL, multi_neuron=False)
    out = len(graph.nodes) - 1
    one, other = (lower_bounds(r, out, rows)[0] for r in (plain, relaxed(graph, inputs)))
    assert bool((other >= one - 1e-8 * (1 + one.abs())).all())
