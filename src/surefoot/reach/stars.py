"""Star reachability (Tran et al. 2020): affine forms over one growing predicate, layer after layer.

What a ReLU or a pool with no certain answer does is a rule: the triangle of the paper, the parallelogram of zonotopes,
or the two-row polytope that the paper compares with. `exact_stars` splits instead.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from surefoot.core.deadline import tick, work_left
from surefoot.core.errors import InputError
from surefoot.core.memory import memory_left
from surefoot.core.rounding import REAL, UPWARD, Arithmetic, magnitude, step_error
from surefoot.graph.graph import Graph
from surefoot.graph.ops import (
    Affine,
    Elementwise,
    MaxPool2d,
    Mul,
    Relu,
)
from surefoot.reach.ibp import Box
from surefoot.reach.parallelogram import parallelogram
from surefoot.reach.pool_windows import Windows, drop_losers
from surefoot.reach.star_state import (
    Count,
    State,
    at_point,
    leaving,
    over_windows,
    pooled_over_windows,
    propagate_affine,
    step,
    values_entering,
)
from surefoot.sets.affine_form import BATCH_NUMBERS, AffineForm
from surefoot.sets.predicate import Predicate, Solver

BYTES = 20, 28  # for each new number of a dense generator, and of a window: itself, its copy in a ReLU or two in lots
PRODUCTS_A_SECOND = 2e10

Rule: TypeAlias = Literal["triangle", "zonotope", "polytope"]


def approximate(
    graph: Graph,
    state: State,
    rule: Rule = "triangle",
    use_lps: bool = True,
    known: Mapping[int, Box] | None = None,
    relaxed: float = 0.0,
    arithmetic: Arithmetic = REAL,
    reached: Callable[[State], None] | None = None,
) -> State:
    """Propagate to the output, one star all the way; `reached` hears of each operation.

    `use_lps`: solve linear programs for values whose sign the box leaves open; `relaxed` is the share of them, those
    with the smallest areas, that keep their estimates (NNV's relax-star). `known` are bounds proven elsewhere.

    Property: sound; not complete.
    """
    if state.reference is not None and arithmetic.unit:
        raise InputError("deviations from a reference bound real arithmetic alone")
    while state.at < len(graph.nodes):
        tick()
        node = graph.nodes[state.at]
        match node.op:
            case Relu():
                state = _relu(graph, state, rule, use_lps, known, relaxed)
            case MaxPool2d():
                state = _pool(graph, state, rule, use_lps)
            case Mul():
                state = _product(graph, state, arithmetic)
            case Elementwise():
                state = _function(graph, state, node.op, arithmetic)
            case _:
                if rule == "zonotope":
                    state = _reduced(graph, state)
                state = propagate_affine(graph, state, arithmetic)
        if reached is not None:
            reached(state)
    return state


def _reduced(graph: Graph, state: State) -> State:
    """Let the least generators of a zonotope go into the error, if the next operation would need too much for all.

    Order reduction (Girard 2005): what goes is an interval of its own from then on. How many stay depends on the memory
    that may be used, and on this operation's share of the time that is left.
    """
    node = graph.nodes[state.at]
    form, size = state.forms[node.inputs[0]], math.prod(node.shape)
    if form.variables * size <= BATCH_NUMBERS or len(state.predicate.bounds) or not isinstance(node.op, Affine):
        return state
    numbers = form.numbers(over_windows(node, tuple(form.centre.shape)), size)
    products = [n.op.terms * math.prod(n.shape) for n in graph.nodes[state.at :] if isinstance(n.op, Affine)]
    seconds = work_left() * products[0] / sum(products) if products[0] else math.inf
    left = memory_left()
    needed = torch.maximum(  # of what there is
        numbers * node.op.terms / (PRODUCTS_A_SECOND * max(seconds, 1e-9)),
        numbers * torch.where(numbers < size, BYTES[1], BYTES[0]) / (math.inf if left is None else max(left, 1)),
    )
    if float(needed.sum()) <= 1:
        return state
    radius = torch.from_numpy(state.predicate.radius)
    order = (form.reach() * radius[: form.variables] / needed).argsort(descending=True)
    keep = torch.ones(state.predicate.variables, dtype=torch.bool)
    keep[order[needed[order].cumsum(0) > 1]] = False
    forms = {i: f.padded(len(keep)).merged(keep, radius) for i, f in state.forms.items()}
    low, high = (end[keep.numpy()] for end in (state.predicate.lower, state.predicate.upper))
    return replace(state, forms=forms, predicate=Predicate.box(low, high), reduced=True)


def _relu(
    graph: Graph, state: State, rule: Rule, use_lps: bool, known: Mapping[int, Box] | None, relaxed: float
) -> State:
    node = graph.nodes[state.at]
    form, low, high, free = values_entering(state, node.inputs[0], state.forms[node.inputs[0]])
    low, high = low.flatten().clone(), high.flatten().clone()
    if known and node.inputs[0] in known:  # proven of true values, which are within the error of the form's
        box = known[node.inputs[0]]
        error = form.error.flatten()
        low = torch.maximum(low, box.lower.flatten() - error)
        high = torch.minimum(high, box.upper.flatten() + error)
    for i, sign in state.decided.items():
        low[i], high[i] = (low[i].clamp(min=0), high[i]) if sign > 0 else (low[i], high[i].clamp(max=0))
    unstable = ((low < 0) & (high > 0)).nonzero().squeeze(1).numpy()
    solved = 0
    if use_lps and len(unstable) and len(state.predicate.bounds):
        solved = _tighten(form, state.predicate, low, high, unstable, relaxed)
        unstable = ((low < 0) & (high > 0)).nonzero().squeeze(1).numpy()
    error = form.error.flatten()
    off, silent = ((t <= 0).reshape(node.shape) for t in (high, high + error))
    form = replace(form, error=torch.where(silent, 0.0, form.error))
    if state.reference is not None:
        error = error + state.reference.error(node.inputs[0]).flatten()
    seen = Box((low - error).reshape(1, *node.shape), (high + error).reshape(1, *node.shape))
    state = replace(state, seen={**state.seen, node.inputs[0]: seen})
    form, predicate = _rectified(
        form, state.predicate, off, unstable, low.numpy()[unstable], high.numpy()[unstable], rule
    )
    form = leaving(state, state.at, form, free)
    return step(graph, state, form, predicate, Count(solved, int(low.numel()) - solved, len(unstable)))


def _tighten(
    form: AffineForm, predicate: Predicate, low: Tensor, high: Tensor, unstable: np.ndarray, relaxed: float
) -> int:
    """Bound unstable values by linear programs on the star that enters the layer; return how many LPs that took."""
    centre, generators = form.flat()
    size = form.size(predicate).flatten().numpy()
    areas = (-low[unstable] * high[unstable]).numpy()
    order = unstable[np.argsort(-areas)][: max(len(unstable) - int(relaxed * len(unstable)), 0)]
    solver = Solver(predicate)
    for i in order:
        g, c, slack = generators[:, i], centre[i], step_error(2, size[i])
        low[i] = max(float(low[i]), float(solver.minimum(g) + c - slack))
        if low[i] < 0:
            high[i] = min(float(high[i]), float(-(solver.minimum(-g) - c - slack)))
    return solver.solved


def _rectified(
    form: AffineForm,
    predicate: Predicate,
    off: Tensor,
    unstable: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    rule: Rule,
) -> tuple[AffineForm, Predicate]:
    """Apply max(x, 0): values that are off become 0, stable ones stay, unstable ones are relaxed by the rule."""
    m, n, places = predicate.variables, len(unstable), torch.from_numpy(unstable)
    rising = high / (high - low)
    rows, offsets = form.columns(places, m), form.centre.flatten()[places].numpy()
    factor = torch.where(off, 0.0, 1.0).flatten().to(form.centre.dtype)
    factor[places] = torch.from_numpy(rising) if rule == "zonotope" else 0.0
    form = form.scaled(factor, form.error)
    if rule == "zonotope":
        # y = r x + half (1 + e): both corners of the triangle's upper side lie on or under the parallelogram's
        half = np.maximum(-rising * low, high - rising * high) / 2
        half = half + step_error(2, half)
        size = magnitude(offsets) + magnitude(rows) @ predicate.radius + half
        form = form.shifted(places, torch.from_numpy(half), torch.from_numpy(step_error(3, size)))
        return form.with_units(places, torch.from_numpy(half), m), predicate.extended(-np.ones(n), np.ones(n))
    constraints = _triangle(rows, offsets, rising, low, high, predicate.radius, rule)
    units = torch.ones(n, dtype=form.centre.dtype)
    return form.with_units(places, units, m), predicate.extended(np.zeros(n), high).with_constraints(*constraints)


def _triangle(
    rows: np.ndarray,
    offsets: np.ndarray,
    rising: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    radius: np.ndarray,
    rule: Rule,
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Give the rows of y >= x and y <= u (x - l) / (u - l), let out by rounding; y >= 0 is a bound."""
    n = len(low)
    size = magnitude(rows) @ radius[: rows.shape[1]] + magnitude(offsets) + magnitude(low) + magnitude(high)
    spare = step_error(6, size)  # two of r g and r (c - l) each, and r itself
    identity = sparse.identity(n, format="csr")
    above = sparse.hstack([sparse.csr_matrix(-rising[:, None] * rows), identity])  # y - r g a <= r (c - l)
    above_bounds = rising * (offsets - low) + spare
    below = sparse.hstack([sparse.csr_matrix(rows), -identity])  # g a - y <= -c
    below_bounds = -offsets  # the form's own numbers: nothing is rounded
    if rule == "polytope":  # two of the three: y >= 0 where |l| is the larger, else y >= x
        use = high >= -low
        below, below_bounds = sparse.csr_matrix(below)[use], below_bounds[use]
    return sparse.csr_matrix(sparse.vstack([above, below])), np.concatenate([above_bounds, below_bounds])


def _pool(graph: Graph, state: State, rule: Rule, use_lps: bool) -> State:
    node = graph.nodes[state.at]
    op = node.op
    assert isinstance(op, MaxPool2d)
    form, predicate = state.forms[node.inputs[0]], state.predicate
    windows = Windows.of(op, form, predicate, at_point(state, node.inputs[0]))
    solved = drop_losers(form, predicate, windows) if use_lps and len(windows.undecided) else 0
    undecided = windows.undecided
    n, m = len(undecided), predicate.variables
    certain_ = torch.ones(len(windows.winner), dtype=torch.bool)
    certain_[undecided] = False
    pooled = pooled_over_windows(op, windows.winner, certain_, node.shape)
    out = form.taken(windows.winner, certain_, windows.error, node.shape, pooled)
    out = replace(out, centre=out.centre + windows.moved.masked_fill(~certain_, 0.0).reshape(node.shape))
    floor, ceiling = windows.floor[undecided], windows.ceiling[undecided]
    if rule == "zonotope":  # an interval
        half = (ceiling - floor) / 2
        half = half + step_error(2, half)
        out = out.shifted(undecided, floor + half, step_error(2, floor.abs() + ceiling.abs()))
        out = out.with_units(undecided, half, m)
        predicate = predicate.extended(-np.ones(n), np.ones(n))
    else:  # x_i <= y for each candidate: rows of the form's own numbers
        out = out.with_units(undecided, torch.ones(n, dtype=form.centre.dtype), m)
        which, member = windows.candidates[undecided].nonzero(as_tuple=True)
        pixel = windows.members[undecided][which, member]
        rows = sparse.csr_matrix(form.columns(pixel, m))
        entries = sparse.csr_matrix((-np.ones(len(which)), (np.arange(len(which)), which.numpy())), (len(which), n))
        predicate = predicate.extended(floor.numpy(), ceiling.numpy())
        if n:
            centre, behind = form.centre.flatten()[pixel], windows.behind[undecided][which, member]
            bounds = step_error(2, centre.abs() + behind.abs()) * (behind != 0) - centre - behind
            predicate = predicate.with_constraints(sparse.hstack([rows, entries]), bounds.numpy())
    return step(graph, state, out, predicate, Count(solved, len(windows.best) - n, n))


@np.errstate(invalid="ignore")  # where nothing is known of a factor
def _product(graph: Graph, state: State, arithmetic: Arithmetic) -> State:
    """Multiply two forms: exact where one is constant, else a new variable in McCormick's four planes."""
    node = graph.nodes[state.at]
    if state.reference is not None:
        raise InputError(f"node {node.name!r}: products are not propagated as deviations")
    x, y = (state.forms[i] for i in node.inputs)
    predicate = state.predicate
    m = predicate.variables
    (xl, xu), (yl, yu) = ((t.flatten().numpy() for t in form.box(predicate)) for form in (x, y))
    xs, ys = x.stacked(m).flatten(1).numpy(), y.stacked(m).flatten(1).numpy()
    corners = np.stack([xl * yl, xl * yu, xu * yl, xu * yu])
    reach_x, reach_y = (magnitude(np.maximum(np.abs(low), np.abs(up))) for low, up in ((xl, xu), (yl, yu)))
    ex, ey = (magnitude(form.error.flatten().numpy()) for form in (x, y))
    relative, absolute = arithmetic.error(1)
    size = (reach_x + ex) * (reach_y + ey)
    error = reach_x * ey + reach_y * ex + ex * ey + relative * size + absolute
    if arithmetic.unit:
        error = np.where(arithmetic.overflows(size, relative), np.inf, error)
    low, high = corners.min(0), corners.max(0)
    slack = step_error(2, reach_x * reach_y)
    low, high = low - slack, high + slack
    if node.inputs[0] == node.inputs[1]:
        low = np.where((xl <= 0) & (xu >= 0), 0.0, low).clip(min=0)
    n = len(low)
    size = 4 * reach_x * reach_y + _sizes(xs, predicate) * reach_y + _sizes(ys, predicate) * reach_x
    spare = step_error(6, size)  # two products and a sum of each entry, and of the constant
    identity = sparse.identity(n, format="csr")
    rows, bounds = [], []
    for p, q, constant, sign in (
        (yl, xl, -xl * yl, -1.0),  # z >= yl x + xl y - xl yl
        (yu, xu, -xu * yu, -1.0),
        (yl, xu, -xu * yl, 1.0),  # z <= yl x + xu y - xu yl
        (yu, xl, -xl * yu, 1.0),
    ):
        plane = p * xs + q * ys  # (1 + m, n)
        rows.append(sparse.hstack([sparse.csr_matrix(-sign * plane[1:].T), sign * identity]))
        bounds.append(sign * (plane[0] + constant) + spare)
    predicate = predicate.extended(low, high).with_constraints(sparse.vstack(rows), np.concatenate(bounds))
    joined = np.concatenate([np.zeros((1 + m, n)), np.eye(n)])
    stacked = torch.from_numpy(joined).reshape(-1, *node.shape)
    out = AffineForm(stacked[0], stacked[1:], torch.from_numpy(UPWARD * error).reshape(node.shape))
    return step(graph, state, out, predicate, Count(variables=n))


def _function(graph: Graph, state: State, op: Elementwise, arithmetic: Arithmetic) -> State:
    node = graph.nodes[state.at]
    if state.reference is not None or arithmetic.unit:
        raise InputError(f"node {node.name!r}: the function {op.name} is propagated in real arithmetic alone")
    form, predicate = parallelogram(op.function, state.forms[node.inputs[0]], state.predicate)
    return step(graph, state, form, predicate, Count(variables=predicate.variables - state.predicate.variables))


def _sizes(stacked: np.ndarray, predicate: Predicate) -> np.ndarray:
    return magnitude(magnitude(stacked[0]) + predicate.radius @ magnitude(stacked[1:]))
