"""Every way to bound a network obeys the same laws: it holds at every point, and exact ones are exact."""

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples, with_functions
from surefoot.core.rounding import FLOAT32, REAL, Arithmetic
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.reach.alpha_crown import default_choice, optimize_slopes, tighten_by_alpha_crown
from surefoot.reach.crown import lower_bounds
from surefoot.reach.exact_stars import exact
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.star_state import begin
from surefoot.reach.stars import approximate
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.stars import slack_of, star_of_inputs

SEEDS = range(24)


def region(graph: Graph, seed: int) -> tuple[Box, np.ndarray, np.ndarray]:
    lower, upper = random_box(graph, seed)
    shape = (1, *graph.input_shape)
    return Box(torch.from_numpy(lower).reshape(shape), torch.from_numpy(upper).reshape(shape)), lower, upper


def rows_of(graph: Graph, seed: int) -> torch.Tensor:
    (k,) = graph.output_shape
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.concatenate([np.eye(k), -np.eye(k), rng.normal(size=(2, k))]))


def plain(relaxation: Relaxation, rows: torch.Tensor) -> torch.Tensor:
    return lower_bounds(relaxation, len(relaxation.graph.nodes) - 1, rows.unsqueeze(0))[0]


def ascended(relaxation: Relaxation, rows: torch.Tensor) -> torch.Tensor:
    out = len(relaxation.graph.nodes) - 1
    start = default_choice(relaxation, out, len(rows))
    choice, _ = optimize_slopes(relaxation, out, rows.unsqueeze(0), start, {}, 8)
    return lower_bounds(relaxation, out, rows.unsqueeze(0), choice)[0]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("arithmetic", [REAL, FLOAT32], ids=lambda a: a.name)
@pytest.mark.parametrize("written", ["pools", "rectifiers"])
def test_bounds_hold_at_every_point(seed: int, arithmetic: Arithmetic, written: str) -> None:
    graph = random_network(seed, products=True)
    graph = pools_as_relus(graph) if written == "rectifiers" else graph
    box, lower, upper = region(graph, seed)
    x = samples(lower, upper, graph, 200, seed)
    rows = rows_of(graph, seed)
    if arithmetic is FLOAT32:
        x = torch.clamp(x.float(), box.lower[0].float(), box.upper[0].float())
        inside = ((x.double() >= box.lower) & (x.double() <= box.upper)).flatten(1).all(1)
        y = evaluate(graph.to(torch.float32), x[inside]).double()
    else:
        y = evaluate(graph, x)
    least = (y @ rows.T).min(0).values if len(y) else torch.full((len(rows),), torch.inf, dtype=torch.float64)
    rounding = 1e-12 * (1 + y.abs().max()) if len(y) and arithmetic is REAL else 0.0  # of evaluating in float64
    for tighten in (None, tighten_by_crown, tighten_by_alpha_crown(4)):
        relaxation = relax(graph, box, arithmetic, tighten)
        out = relaxation.boxes[-1]
        assert bool((y >= out.lower - rounding).all())
        assert bool((y <= out.upper + rounding).all())
        for bound in (plain(relaxation, rows), ascended(relaxation, rows)):
            assert bool((least >= bound - rounding).all())


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_functions_hold_at_every_point(seed: int) -> None:
    graph = with_functions(random_network(seed, products=True), seed)
    box, lower, upper = region(graph, seed)
    y = evaluate(graph, samples(lower, upper, graph, 300, seed))
    rows = rows_of(graph, seed)
    least = (y @ rows.T).min(0).values
    rounding = 1e-11 * (1 + y.abs().max())
    for tighten in (None, tighten_by_crown, tighten_by_alpha_crown(4)):
        relaxation = relax(graph, box, REAL, tighten)
        out = relaxation.boxes[-1]
        assert bool(((y >= out.lower - rounding) & (y <= out.upper + rounding)).all())
        for bound in (plain(relaxation, rows), ascended(relaxation, rows)):
            assert bool((least >= bound - rounding).all())
            assert not bool(bound.isnan().any())
    star = star_of_inputs(InputSet(lower, upper), graph.input_shape)
    for rule in ("zonotope", "triangle"):
        state = approximate(graph, begin(star), rule, use_lps=False)
        low, high = state.star.form.box(state.predicate)
        error = state.star.form.error + rounding
        assert not bool(((y < low - error) | (y > high + error)).any())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", ["triangle", "zonotope", "polytope"])
def test_stars_hold_at_every_point_and_the_paper_s_is_the_tightest(seed: int, rule: str) -> None:
    graph = random_network(seed, products=True)
    _, lower, upper = region(graph, seed)
    rows = rows_of(graph, seed).numpy()
    query = Query(InputSet(lower, upper), tuple(Unsafe(row[None], np.zeros(1)) for row in rows))
    y = evaluate(graph, samples(lower, upper, graph, 200, seed)).numpy()
    reached = approximate(graph, begin(star_of_inputs(query.inputs, graph.input_shape)), rule)  # pyright: ignore[reportArgumentType]
    found = np.array([slack_of(reached.star, unsafe)[0] for unsafe in query.unsafe])
    assert (y @ rows.T >= found - 1e-12 * (1 + np.abs(y).max())).all()
    if rule == "polytope":
        tight = approximate(graph, begin(star_of_inputs(query.inputs, graph.input_shape)), "triangle")
        assert all(slack_of(tight.star, u)[0] >= f - 1e-6 for u, f in zip(query.unsafe, found, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_errors_of_float32_hold_at_every_point(seed: int) -> None:
    graph = random_network(seed, products=True)
    _, lower, upper = region(graph, seed)
    star = star_of_inputs(InputSet(lower, upper), graph.input_shape)
    state = approximate(graph, begin(star), "zonotope", False, arithmetic=FLOAT32)
    low, high = state.star.form.box(state.predicate)
    y = evaluate(graph.to(torch.float32), samples(lower, upper, graph, 300, seed).float()).double()
    inputs = samples(lower, upper, graph, 300, seed).float().double().flatten(1)
    inside = ((inputs >= torch.from_numpy(lower)) & (inputs <= torch.from_numpy(upper))).all(1)
    assert bool((y[inside] >= low - state.star.form.error).all())
    assert bool((y[inside] <= high + state.star.form.error).all())


@pytest.mark.parametrize("seed", range(12))
def test_exact_stars_are_the_image(seed: int) -> None:
    """Every sampled input lies in a leaf that maps it to its output; every leaf's vertex is met by the network."""
    graph = random_network(seed, classes=2)
    lower, upper = random_box(graph, seed)
    lower, upper = (lower + upper) / 2 - (upper - lower) / 8, (lower + upper) / 2 + (upper - lower) / 8
    query = Query(InputSet(lower, upper), (Unsafe(np.array([[1.0, -1.0]]), np.zeros(1)),))
    star = star_of_inputs(query.inputs, graph.input_shape)
    leaves = []
    for leaf in exact(graph, begin(star)):
        leaves.append(leaf)
        if len(leaves) > 60:
            break
    else:
        free = upper > lower
        x = samples(lower, upper, graph, 40, seed)
        centre, radius = (lower + upper) / 2, (upper - lower) / 2
        a = ((x.flatten(1).numpy() - centre)[:, free] / radius[free]).clip(-1, 1)
        y = evaluate(graph, x).numpy()
        for point, output in zip(a, y, strict=True):
            inside = [leaf for leaf in leaves if (leaf.predicate.rows @ point <= leaf.predicate.bounds + 1e-9).all()]
            assert inside
            assert all(np.allclose(leaf.star.member(point).numpy(), output, atol=1e-8) for leaf in inside)
    for leaf in leaves[:10]:
        slack, point = slack_of(leaf.star, query.unsafe[0])
        assert point is not None
        member = evaluate(graph, star.member(point).unsqueeze(0))[0].numpy()
        assert np.allclose(member, leaf.star.member(point).numpy(), atol=1e-6)
        assert query.slack(member[None])[0] >= slack - 1e-9
