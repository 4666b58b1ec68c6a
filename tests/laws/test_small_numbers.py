"""Numbers too small or too large for a float64 on the way: bounds hold for the network in exact arithmetic."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import islice

import mpmath
import numpy as np
import pytest
import torch

from cases import first
from long_sums import long_sum
from networks import random_box, random_network, random_polynomial, samples
from surefoot.compress.channel_check import mapped_difference
from surefoot.compress.equal import equal
from surefoot.compress.stability import stability
from surefoot.compress.transform import compress
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, Concat, ElementwiseAffine, MaxPool2d, Mul, Relu
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.proof.checker import Checker
from surefoot.proof.matrices import affine_matrix
from surefoot.reach.alpha_crown import tighten_by_alpha_crown
from surefoot.reach.crown import lower_bounds
from surefoot.reach.exact_stars import exact
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.star_state import begin
from surefoot.reach.stars import Rule, approximate
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unsafe
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.stars import slack_of, star_of_inputs

MOST = 50  # patterns of an exact walk


def exactly(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    """Evaluate every node in numbers of 60 digits and any exponent."""
    with mpmath.workdps(60):
        values = [np.array([mpmath.mpf(float(v)) for v in x], dtype=object)]
        for node in graph.nodes[1:]:
            given = [values[i] for i in node.inputs]
            match node.op:
                case Relu():
                    out = np.array([max(v, mpmath.mpf(0)) for v in given[0]], dtype=object)
                case Add():
                    out = given[0] + given[1]
                case Mul():
                    out = given[0] * given[1]
                case Concat() as op:
                    parts = [v.reshape(graph.nodes[i].shape) for v, i in zip(given, node.inputs, strict=True)]
                    out = np.concatenate(parts, op.axis).ravel()
                case MaxPool2d() as op:
                    windows = op.windows(graph.nodes[node.inputs[0]].shape)
                    out = np.array([max(given[0][int(i)] for i in w if i >= 0) for w in windows], dtype=object)
                case _:
                    matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
                    out = np.array([mpmath.mpf(float(b)) for b in bias], dtype=object)
                    entries = matrix.tocoo()
                    for i, j, w in zip(entries.row, entries.col, entries.data, strict=True):
                        out[i] += mpmath.mpf(float(w)) * given[0][j]
            values.append(out)
    return values


def stretched(graph: Graph, x: np.ndarray, seed: int) -> Graph:
    """Scale what the nodes give up and down by powers of ten, some past what a float64 holds, and at the end back."""
    rng = np.random.default_rng(seed)
    shift = int(rng.integers(-320, 300)) if rng.random() < 0.5 else 0
    builder = GraphBuilder(graph.input_shape)

    def scaled(at: int, target: int) -> int:
        """Bring the largest value to about ten to the target, in steps that float64 numbers can be."""
        largest = max((abs(v) for v in exactly(builder.build(at), x)[-1]), default=0)
        if not largest:
            return at
        left = target - int(mpmath.log10(largest))
        while left:
            step = max(min(left, 250), -250)
            at = builder.add(ElementwiseAffine(torch.tensor([10.0**step], dtype=torch.float64)), at)
            left -= step
        return at

    new = {0: scaled(0, shift)}
    for at, node in enumerate(graph.nodes[1:], 1):
        new[at] = builder.add(node.op, *(new[i] for i in node.inputs))
        if rng.random() < 0.4 and len(graph.nodes) - at > 1:
            new[at] = scaled(new[at], int(rng.integers(-350, 306)))
    return builder.build(scaled(new[len(graph.nodes) - 1], 0))


def substituted(graph: Graph, query: Query, rows: torch.Tensor, tighten: Callable | None, pools: bool) -> list[float]:
    graph = pools_as_relus(graph) if pools else graph
    region = Box.around(query.inputs, graph.input_shape)
    made = relax(graph, region, REAL, tighten)
    return lower_bounds(made, len(graph.nodes) - 1, rows.unsqueeze(0))[0].tolist()


def walked(graph: Graph, query: Query, rows: torch.Tensor, rule: Rule | None) -> list[float]:
    begun = begin(star_of_inputs(query.inputs, graph.input_shape))
    walks = [approximate(graph, begun, rule)] if rule else list(islice(exact(graph, begun), MOST))
    if len(walks) == MOST:
        return [-math.inf] * len(rows)  # where signs are lost every ReLU splits: no walk to the end
    return [min(slack_of(state.star, Unsafe(row.numpy()[None], np.zeros(1)))[0] for state in walks) for row in rows]


def checked(graph: Graph, query: Query, rows: torch.Tensor) -> list[float]:
    graph = pools_as_relus(graph)
    checker = Checker(graph)
    try:
        boxes = checker.boxes(query.inputs.lower, query.inputs.upper)
        return checker.bound(len(graph.nodes) - 1, rows.numpy(), boxes).tolist()
    except InputError:  # what passes the largest float64 is refused
        return [-math.inf] * len(rows)


WAYS: dict[str, Callable[[Graph, Query, torch.Tensor], list[float]]] = {
    "boxes and substitution": lambda g, q, r: substituted(g, q, r, None, False),
    "pools as ReLUs": lambda g, q, r: substituted(g, q, r, tighten_by_crown, True),
    "alpha-crown": lambda g, q, r: substituted(g, q, r, tighten_by_alpha_crown(4), True),
    "triangle": lambda g, q, r: walked(g, q, r, "triangle"),
    "zonotope": lambda g, q, r: walked(g, q, r, "zonotope"),
    "exact": lambda g, q, r: walked(g, q, r, None),
    "checker": checked,
}


def drawn(seed: int, products: bool = True) -> tuple[Graph, Query, np.ndarray]:
    """Draw a stretched network, a region, and rows over the outputs."""
    kind = seed % 3 if products else 0
    plain = random_polynomial(seed) if kind == 2 else random_network(seed, products=kind == 1)
    lower, upper = random_box(plain, seed)
    graph = stretched(plain, (lower + upper) / 2, seed)
    (k,) = graph.output_shape
    rows = np.concatenate([np.eye(k), -np.eye(k), np.random.default_rng(seed).normal(size=(1, k))])
    return graph, Query(InputSet(lower, upper), (Unsafe(rows[:1], np.zeros(1)),)), rows


def outputs(graph: Graph, query: Query, seed: int) -> list[np.ndarray]:
    x = samples(query.inputs.lower, query.inputs.upper, graph, 3, seed)
    return [exactly(graph, each)[-1] for each in x.flatten(1).numpy()]


def least(graph: Graph, query: Query, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return the least values of rows met at inputs of the region."""
    with mpmath.workdps(60):
        weights = np.array([[mpmath.mpf(float(w)) for w in row] for row in rows], dtype=object)
        return np.array([weights @ y for y in outputs(graph, query, seed)]).min(0)


def bounds_hold(seed: int) -> None:
    graph, query, rows = drawn(seed)
    met = least(graph, query, rows, seed)
    for name, way in WAYS.items():
        if name == "exact" and any(isinstance(node.op, Mul) for node in graph.nodes):
            continue
        with np.errstate(all="ignore"):  # what passes the largest float64 proves nothing
            bounds = way(graph, query, torch.from_numpy(rows))
        for bound, value in zip(bounds, met, strict=True):
            assert not bound > value, (seed, name, bound, value)


def verdicts_are_not_refuted(seed: int) -> None:
    graph, query, rows = drawn(seed)
    number = seed % len(rows)
    value = least(graph, query, rows, seed)[number]
    above = float(value) + abs(float(value)) * 1e-15 + 5e-324  # an input is below: unsafe
    asked = Query(query.inputs, (Unsafe(rows[number][None], np.array([above])),))
    with np.errstate(all="ignore"):
        assert not isinstance(verify(Network.of(graph), asked, 1.0), Holds), (seed, number, value)


def differences_are_bounded(seed: int) -> None:
    graph, query, _ = drawn(seed, products=False)
    graph = pools_as_relus(graph)
    domain = query.inputs
    other = stretched(graph, (domain.lower + domain.upper) / 2, seed + 1)
    with np.errstate(all="ignore"):
        made = compress(graph, domain, 0.0)
        pairs = [(made.graph, equal(graph, made.graph, domain, 0.0, forms_alone=True).bound)]
        pairs.append((other, equal(graph, other, domain, 0.0, forms_alone=True).bound))
        for before, step in made.steps:
            if len(made.steps) == 1 and before.graph is graph:
                boxes = stability(step.graph, domain, 0.0).boxes
                pairs.append((step.graph, mapped_difference(graph, step.graph, step.matches, before.boxes, boxes)))
    with mpmath.workdps(60):
        first = outputs(graph, query, seed)
        for second, bound in pairs:
            for y, z in zip(first, outputs(second, query, seed), strict=True):
                assert not any(b < abs(d) for b, d in zip(bound, y - z, strict=True)), (seed, bound, y - z)


LAWS = {law.__name__: law for law in (bounds_hold, verdicts_are_not_refuted, differences_are_bounded)}


@pytest.mark.parametrize("seed", first(4, range(15)))
@pytest.mark.parametrize("law", LAWS)
def test_in_exact_arithmetic(law: str, seed: int) -> None:
    LAWS[law](seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("law", LAWS)
def test_in_exact_arithmetic_many(law: str, part: int) -> None:
    for seed in range(100 + 50 * part, 150 + 50 * part):
        LAWS[law](seed)


@pytest.mark.parametrize("way", ["boxes and substitution", "alpha-crown", "checker"])
def test_what_is_rounded_away_in_a_long_sum_is_paid_for(way: str) -> None:
    graph, least = long_sum(1000)
    query = Query(InputSet(np.zeros(1), np.full(1, 1e-30)), (Unsafe(np.ones((1, 1)), np.zeros(1)),))
    (found,) = WAYS[way](graph, query, torch.ones(1, 1, dtype=torch.float64))
    assert Fraction(found) <= least
