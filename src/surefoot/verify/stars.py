"""Answers by star reachability, exact and over-approximate: the paper's own method."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.rounding import LOST, UPWARD, magnitude, step_error, sum_error
from surefoot.graph.graph import Graph
from surefoot.reach.exact_stars import exact
from surefoot.reach.reference import Reference
from surefoot.reach.star_state import Count, State, begin
from surefoot.reach.stars import Rule, approximate
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate, Solver
from surefoot.sets.star import Star
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe

_ELASTIC = 1e6  # by how much rows may be missed when the least such amount is sought


def least(slacks: Iterable[float]) -> float:
    """Return the least slack; not a number if one is not, as Python's `min` would not say."""
    return float(np.min([*slacks, np.inf]))


def star_of_inputs(inputs: InputSet, shape: tuple[int, ...]) -> Star:
    """Make the star of a set of inputs: one variable in [-1, 1] for each input that is not fixed.

    Raises:
        InputError: no input satisfies the linear constraints.
    """
    free = np.nonzero(inputs.upper > inputs.lower)[0]
    centre = inputs.lower / 2 + inputs.upper / 2
    radius = np.maximum(inputs.upper - centre, centre - inputs.lower)[free]
    radius = radius + step_error(2, radius)
    size = magnitude(np.maximum(np.abs(inputs.lower), np.abs(inputs.upper)))
    form = AffineForm(
        torch.from_numpy(centre).reshape(shape),
        torch.zeros(0, *shape, dtype=torch.float64),
        torch.zeros(shape, dtype=torch.float64),  # the radius, rounded up, reaches both ends
        torch.from_numpy(free),
        torch.from_numpy(radius),
    )
    predicate = Predicate.box(-np.ones(len(free)), np.ones(len(free)))
    if inputs.constraints is not None:
        rows, bounds = inputs.constraints.rows, inputs.constraints.bounds
        spare = sum_error(len(centre), magnitude(rows) @ size + np.abs(bounds))
        predicate = predicate.with_constraints(rows[:, free] * radius, bounds - rows @ centre + spare)
        _must_not_be_empty(predicate)
    return Star(form, predicate)


def _must_not_be_empty(predicate: Predicate) -> None:
    m, limit = predicate.variables, _ELASTIC * (1 + np.abs(predicate.bounds).max(initial=0.0))
    ones = np.ones((len(predicate.bounds), 1))
    elastic = Predicate(
        np.append(predicate.lower, 0.0),
        np.append(predicate.upper, limit),
        sparse.csr_matrix(sparse.hstack([predicate.rows, -ones])),
        predicate.bounds,
    )
    if Solver(elastic).minimum(np.append(np.zeros(m), 1.0)) > 0:
        raise InputError("the region is empty: no input satisfies its rows")


def _rounding(star: Star, unsafe: Unsafe) -> tuple[np.ndarray, np.ndarray]:
    """Return how large each row's terms are, and by how much its value may be off."""
    weights, form = magnitude(unsafe.weights), star.form
    size = weights @ form.size(star.predicate).flatten().numpy() + np.abs(unsafe.bounds)
    errors = magnitude(form.error.flatten().numpy())  # infinite where nothing is known, which may not matter
    error = np.multiply(weights, errors, out=np.zeros_like(weights), where=weights > 0).sum(1)
    return size, UPWARD * error + sum_error(form.centre.numel(), size) + LOST


def slack_of(star: Star, unsafe: Unsafe) -> tuple[float, np.ndarray | None]:
    """Bound from below how far a star stays from an unsafe set (the largest of weights y - bounds); where, nearly.

    One row is one linear program. Several are one more variable t: the least t with weights y - bounds <= t.

    Property: sound. The optimum, up to rounding and the star's error.
    """
    centre, generators = star.form.flat()
    size, spare = _rounding(star, unsafe)
    rows = unsafe.weights @ generators.T  # (r, m)
    offsets = unsafe.weights @ centre - unsafe.bounds
    if len(rows) == 0:
        return -np.inf, star.predicate.lower
    predicate = star.predicate
    if len(rows) == 1:
        solver = Solver(predicate)
        slack = solver.minimum(rows[0]) + offsets[0] - spare[0]
    else:
        limit = _ELASTIC * (1 + np.abs(size).max())
        m = predicate.variables
        full = np.zeros((len(rows), m))
        full[:, : rows.shape[1]] = rows
        elastic = predicate.extended(np.array([-limit]), np.array([limit])).with_constraints(
            sparse.hstack([sparse.csr_matrix(full), -np.ones((len(rows), 1))]), spare - offsets
        )
        solver = Solver(elastic)
        direction = np.zeros(m + 1)
        direction[m] = 1.0
        slack = solver.minimum(direction)
        # two rows alone are a sound answer too, and the better one where the elastic LP went wrong
        alone = Solver(predicate)
        slack = max(slack, *(alone.minimum(row) + o - s for row, o, s in zip(rows, offsets, spare, strict=True)))
    point = solver.solutions[-1][: predicate.variables] if solver.solutions else None
    return float(slack), point


@dataclass(frozen=True, eq=False)
class Approximated:
    """What one over-approximating propagation gave: the output star, its slack, an input worth replaying, the cost."""

    star: Star
    slack: float
    input: torch.Tensor | None
    count: Count


def over_approximate(
    graph: Graph,
    star: Star,
    query: Query,
    rule: Rule = "triangle",
    use_lps: bool = True,
    relaxed: float = 0.0,
    reference: Reference | None = None,
) -> Approximated:
    """Propagate one star to the output and bound its slack. Never a counterexample: the input is only a candidate."""
    state = approximate(graph, begin(star, reference), rule, use_lps, relaxed=relaxed)
    slack, where = _nearest(state.star, query)
    candidate = None if where is None or state.reduced else star.member(where[: star.form.variables])
    return Approximated(state.star, slack, candidate, state.count)


def _nearest(star: Star, query: Query) -> tuple[float, np.ndarray | None]:
    """Return the least slack over all unsafe sets, and where it is nearly reached."""
    slacks_and_points = [slack_of(star, unsafe) for unsafe in query.unsafe]
    slacks = [slack for slack, _ in slacks_and_points]
    return least(slacks), slacks_and_points[int(np.argmin(slacks))][1]


@dataclass(frozen=True, eq=False)
class Leaf:
    """One pattern of signs and winners: its outputs, and the inputs that have it, as stars over one predicate."""

    outputs: Star
    inputs: Star
    slack: float
    candidate: torch.Tensor | None


@dataclass(eq=False)
class ExactProgress:
    """What exact propagation has done so far."""

    leaves: int = 0
    pruned: int = 0
    lps_solved: int = 0
    margin: float = np.inf  # the least slack of all branches that were pruned and all leaves


def leaves(
    graph: Graph,
    star: Star,
    query: Query,
    seconds: float | Deadline,
    progress: ExactProgress,
    prune: bool = True,
    reference: Reference | None = None,
) -> Iterator[Leaf]:
    """Propagate exactly; give each leaf with its slack. `prune` leaves out branches that a zonotope shows to be safe.

    Raises:
        TimeoutError: the seconds are over.
    """
    deadline = Deadline.of(seconds)

    def proven(state: State) -> bool:
        if deadline.is_over():
            raise TimeoutError
        if not prune:
            return False
        reached = approximate(graph, state, "zonotope", use_lps=False)
        slack = least(box_slack(reached.star, unsafe) for unsafe in query.unsafe)
        if slack > 0:
            progress.pruned += 1
            progress.margin = least([progress.margin, slack])
        return slack > 0

    for state in exact(graph, begin(star, reference), proven):
        slack, where = _nearest(state.star, query)
        inputs = Star(star.form, state.predicate)
        progress.lps_solved += state.count.lps_solved
        progress.leaves += 1
        progress.margin = least([progress.margin, slack])
        yield Leaf(state.star, inputs, slack, None if where is None else inputs.member(where))


def box_slack(star: Star, unsafe: Unsafe) -> float:
    """Bound the slack over the predicate's box alone: no linear program."""
    centre, generators = star.form.flat()
    rows = unsafe.weights @ generators.T
    _, spare = _rounding(star, unsafe)
    slacks = star.predicate.box_minimum(rows) + unsafe.weights @ centre - unsafe.bounds - spare
    return float(slacks.max()) if len(slacks) else -np.inf


def counterexamples(leaf: Leaf, unsafe: Unsafe) -> Star:
    """Return all inputs of a leaf's pattern whose outputs are unsafe: complete, and an image star again.

    Raises:
        InputError: the leaf's pattern has none.
    """
    centre, generators = leaf.outputs.form.flat()
    rows = unsafe.weights @ generators.T
    star = Star(leaf.inputs.form, leaf.inputs.predicate.with_constraints(rows, unsafe.bounds - unsafe.weights @ centre))
    if slack_of(leaf.outputs, unsafe)[0] > 0:
        raise InputError("no input of this pattern is a counterexample")
    return star
