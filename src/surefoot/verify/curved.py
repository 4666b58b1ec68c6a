"""Prove things of polynomial networks: a convex function below each row, its dual bound, and bisection of inputs.

Over a box, x = c + r y with y in [-1, 1], the row m(x) is at least g(y) = m + sum_i a_i (y_i^2 - 1), which is convex if
its Hessian r H r + 2 diag(a) is positive semidefinite for the least curvature H (`reach.curvature`). Then for *any* y'

    m >= g(y') - sum_i |g_i(y')| - sum_i g_i(y') y'_i        on the whole box (g_i the derivatives),

so whoever looked for y', and for the a, the bound is sound; both are looked for where the bound is best. What a_i costs
is a_i (1 - y'_i^2): nothing where the minimum lies at an end, so a is large there and small elsewhere.

Reference: Adjiman et al. 1998 (alpha-BB); Abad Rocamora et al. 2022 for polynomial networks, whose bound is the value
at an iterate. Positive definiteness by a Cholesky decomposition that succeeds: Rump 2006.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline, tick
from surefoot.core.rounding import (
    FLOAT32,
    LOST,
    REAL,
    difference_below,
    magnitude,
    step_error,
    sum_error,
)
from surefoot.graph.degree import degree_of
from surefoot.graph.graph import Graph, evaluate
from surefoot.reach.crown import lower_bounds
from surefoot.reach.curvature import Factors, adjoints, curvature, execution_gap, factors_of, least_curvature
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.query import Query
from surefoot.verify.bisection import bisect, ends
from surefoot.verify.branch_and_bound import Bounds, Problem, Replay, Result, branch_and_bound, steady

BATCH_BOXES = 32
LARGEST = 1024  # inputs
DESCENT = 40  # steps towards the minimum of the convex function
ROUNDS = 3  # of choosing a, then y'
EVEN = 0.02  # weight of an input's width where boxes are bisected
SOFT = 0.02  # how near an end y' must be for a_i to cost nothing


@dataclass(frozen=True, eq=False)
class RowOverBox:
    """A row of the output that is to be positive over a box, and what was learnt of it.

    `cost`: what each input costs the bound. `float32`: whether the bound exceeds what any float32 evaluation can differ
    by there; it is not looked at where there was one before of which that is not so.
    """

    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    row: int
    cost: Float[Tensor, " d"] | None = None
    float32: bool = False


@dataclass(frozen=True, eq=False)
class RowBounds:
    """Lower bounds of rows over boxes, at which point of each, and what each input costs."""

    value: Float[Tensor, " n"]
    at: Float[Tensor, "n d"]  # y'
    cost: Float[Tensor, "n d"]  # a_i (1 - y'_i^2)


class _Curvature(Problem[RowOverBox, int]):
    def __init__(self, graph: Graph, query: Query, float32: bool) -> None:
        self.graph, self.float32 = graph, float32
        self.factors = factors_of(graph)
        self.weights, self.offsets = _rows(graph, query)
        self.low, self.high = torch.from_numpy(query.inputs.lower), torch.from_numpy(query.inputs.upper)

    def roots(self) -> Sequence[RowOverBox]:
        return [RowOverBox(self.low, self.high, row) for row in range(len(self.weights))]

    def bound(self, batch: Sequence[RowOverBox]) -> Bounds[RowOverBox]:
        low, high = ends(batch)
        which = torch.tensor([box.row for box in batch])
        weights = self.weights[which]
        bounds = bound_rows(self.graph, self.factors, low, high, weights, self.offsets[which])
        holds = torch.zeros(len(batch), dtype=torch.bool)
        proven = bounds.value > 0
        if self.float32 and bool(proven.any()):
            gap = _float32_gap(self.graph, low[proven], high[proven], weights[proven])
            holds[proven] = bounds.value[proven] > gap
            self.float32 = bool(holds[proven].all())
        boxes = [
            replace(box, cost=cost, float32=float32)
            for box, cost, float32 in zip(batch, bounds.cost, holds.tolist(), strict=True)
        ]
        return Bounds(bounds.value, boxes, (low + high) / 2 + bounds.at * (high - low) / 2)

    def branch(self, batch: Sequence[RowOverBox]) -> Sequence[tuple[int, Sequence[RowOverBox]]] | None:
        low, high = ends(batch)
        halves = bisect(low, high, self._by_cost(batch, low, high))
        if halves is None:
            return None
        return [
            (axis, (RowOverBox(box.low, left, box.row), RowOverBox(right, box.high, box.row)))
            for box, left, right, axis, _ in zip(batch, *halves, strict=True)
        ]

    def _by_cost(self, batch: Sequence[RowOverBox], low: Tensor, high: Tensor) -> Tensor:
        """Take what an input costs, or, where that tells little, its width, as a share of the whole."""
        cost = torch.stack([box.cost for box in batch if box.cost is not None]).nan_to_num(0, 0, 0)
        wide = (high - low) / (self.high - self.low).clamp(min=1e-300)
        return cost / cost.sum(1, keepdim=True).clamp(min=1e-300) + EVEN * wide


def prove_by_curvature(
    graph: Graph,
    query: Query,
    seconds: float | Deadline,
    replay: Replay,
    most_subproblems: int = 10**9,
    float32: bool = False,
) -> Result[RowOverBox, int]:
    """Prove that every unsafe set is missed by one of its rows, bisecting the box where the bound is lost.

    Property: sound in real arithmetic; where `float32` is asked for, and every leaf says so, for float32 too.

    Raises:
        InputError: a network that is no polynomial.
    """
    is_over = Deadline.of(seconds).is_over
    problem = _Curvature(graph, query, float32)
    return branch_and_bound(problem, replay, is_over, steady(BATCH_BOXES), most_subproblems=most_subproblems)


def _float32_gap(graph: Graph, low: Tensor, high: Tensor, rows: Tensor) -> Tensor:
    """Bound by how much any float32 evaluation of row_n · output can differ over box n."""
    shape = (len(low), *graph.input_shape)
    relaxation = relax(graph, Box(low.reshape(shape), high.reshape(shape)), FLOAT32, multi_neuron=False)
    return execution_gap(graph, relaxation.boxes, relaxation.errors, rows.reshape(len(low), 1, *graph.output_shape))[
        :, 0
    ]


def _rows(graph: Graph, query: Query) -> tuple[Tensor, Tensor]:
    """Of each unsafe set take the row that is largest in the middle of the region."""
    middle = torch.from_numpy((query.inputs.lower + query.inputs.upper) / 2).reshape(1, *graph.input_shape)
    y = evaluate(graph, middle).flatten(1)[0]
    weights, offsets = [], []
    for unsafe in query.unsafe:
        w, b = torch.from_numpy(unsafe.weights), torch.from_numpy(unsafe.bounds)
        best = int((w @ y - b).argmax())
        weights.append(w[best])
        offsets.append(b[best])
    return torch.stack(weights), torch.stack(offsets)


def bound_rows(
    graph: Graph,
    factors: Factors,
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    rows: Float[Tensor, "n outputs"],
    offsets: Float[Tensor, " n"],
) -> RowBounds:
    """Bound row_n · output - offset_n from below over box n; low, high (n, d), rows (n, outputs), offsets (n,).

    Property: sound in real arithmetic.
    """
    n, d = low.shape
    shape = (n, *graph.input_shape)
    centre = (low + high) / 2
    radius = torch.maximum(high - centre, centre - low)
    radius = radius + step_error(2, radius)  # c + r y covers the box
    ends = (torch.nextafter(centre - radius, -centre.new_tensor(torch.inf)),
            torch.nextafter(centre + radius, centre.new_tensor(torch.inf)))  # fmt: skip
    region = Box(ends[0].reshape(shape), ends[1].reshape(shape))  # all that y stands for, which is a little more
    relaxation = relax(graph, region, REAL, tighten_by_crown, multi_neuron=False)
    boxes = relaxation.boxes
    given = rows.reshape(n, 1, *graph.output_shape)
    middle, spread = curvature(graph, boxes, factors, given)
    least, off = least_curvature(factors, middle, spread, radius)
    least, off = least[:, 0], off[:, 0]
    weight = torch.ones(n, d, dtype=torch.float64)
    best = RowBounds(torch.full((n,), -torch.inf).double(), torch.zeros(n, d).double(), torch.zeros(n, d).double())
    at = torch.zeros(n, d, dtype=torch.float64)
    for turn in range(ROUNDS):
        tick()
        a = _convexifier(least, off, weight, radius > 0)
        at = _descended(graph, rows, centre, radius, a, at, least)
        value = difference_below(_dual(graph, given, centre, radius, a, at), offsets)
        cost = a * (1 - at**2)
        better = value > best.value
        best = RowBounds(
            torch.where(better, value, best.value),
            torch.where(better.unsqueeze(1), at, best.at),
            torch.where(better.unsqueeze(1), cost, best.cost),
        )
        if bool((best.value > 0).all()) or turn == ROUNDS - 1:
            break
        weight = 1 / (1 - at.abs() + SOFT)
    simple = difference_below(lower_bounds(relaxation, len(graph.nodes) - 1, given)[:, 0], offsets)
    return RowBounds(torch.fmax(best.value, simple), best.at, best.cost)


def _convexifier(least: Tensor, off: Tensor, weight: Tensor, free: Tensor) -> Tensor:
    """Return a (n, d) >= 0 with least - off I + 2 diag(a) positive semidefinite, about proportional to `weight`.

    Inputs that are not `free` have rows and columns of 0. Infinite where that was not shown.
    """
    d = least.shape[1]
    root = weight.sqrt()
    scaled = least / root.unsqueeze(2) / root.unsqueeze(1)
    finite = torch.isfinite(scaled).all(2).all(1) & torch.isfinite(off)
    least, off = torch.where(finite[:, None, None], least, 0.0), torch.where(finite, off, torch.inf)
    negative = -torch.linalg.eigvalsh(torch.where(finite[:, None, None], scaled, 0.0))[:, 0].clamp(max=0)
    negative, off = negative.unsqueeze(1), off.unsqueeze(1)
    a = torch.where(free, weight * negative / 2 * (1 + 1e-9), 1e-9 * negative) + off
    failed = torch.ones(len(least), dtype=torch.bool)
    for _ in range(3):
        whole = least + torch.diag_embed(2 * a - off)
        trace = whole.diagonal(dim1=1, dim2=2).abs().sum(1)
        made_of = 2 * a + off + least.diagonal(dim1=1, dim2=2).abs()
        spare = sum_error(d, trace) + step_error(3, made_of.amax(1)) + LOST
        shifted = (whole - torch.diag_embed(spare.unsqueeze(1).expand(-1, d))).nan_to_num(-1.0)
        failed = torch.linalg.cholesky_ex(shifted)[1] != 0
        if not bool(failed.any()):
            return a
        a = torch.where(failed.unsqueeze(1), a * (1 + 1e-6) + 4 * spare.unsqueeze(1), a)
    return torch.where(failed.unsqueeze(1), torch.inf, a)


def _descended(
    graph: Graph, rows: Tensor, centre: Tensor, radius: Tensor, a: Tensor, start: Tensor, least: Tensor
) -> Tensor:
    """Look for the minimum of the convex function by accelerated projected gradient steps."""
    a = torch.where(torch.isfinite(a), a, 0.0)
    step = 1 / (least.abs().sum(2) + 2 * a).clamp(min=1e-12)
    x, y, t = start, start, 1.0
    for _ in range(DESCENT):
        tick()
        y = y.detach().requires_grad_(True)
        out = evaluate(graph, (centre + radius * y).reshape(-1, *graph.input_shape)).flatten(1)
        value = (rows * out).sum() + (a * (y**2 - 1)).sum()
        (slope,) = torch.autograd.grad(value, y)
        new = (y.detach() - step * slope).clamp(-1, 1)
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        y = new + (t - 1) / following * (new - x)
        x, t = new, following
    return x.detach()


def _dual(graph: Graph, given: Tensor, centre: Tensor, radius: Tensor, a: Tensor, at: Tensor) -> Tensor:
    """Evaluate the bound at y', with all rounding: value and gradient are enclosed over the box of one point."""
    n, d = at.shape
    x = (centre + radius * at).reshape(n, *graph.input_shape)
    # the point is c + r y', not what it was rounded to
    spare = step_error(2, magnitude(centre.abs() + radius)).reshape(x.shape)
    boxes = relax(graph, Box(x - spare, x + spare), REAL, multi_neuron=False).boxes
    rows = given.flatten(2)[:, 0]
    low, high = boxes[-1].lower.flatten(1), boxes[-1].upper.flatten(1)
    size = (magnitude(rows) * boxes[-1].magnitude.flatten(1)).sum(1)
    value = (rows.clamp(min=0) * low + rows.clamp(max=0) * high).sum(1) - sum_error(rows.shape[1], size)
    slopes = adjoints(graph, boxes, given)[0]
    if slopes is None:
        return value
    slope, loose = (x.reshape(n, d) * radius for x in slopes)
    g = slope + 2 * a * at
    loose = 2 * loose + step_error(4, slope.abs() + 2 * a)
    terms = a * (at**2 - 1) - g.abs() - g * at - loose
    sizes = 2 * a + 2 * g.abs() + loose
    spent = sum_error(d, sizes.sum(1) + value.abs())
    return value + terms.sum(1) - spent - LOST


def is_treated(graph: Graph) -> bool:
    """Whether a network is a polynomial of degree 2 or more, and small enough for dense matrices over its inputs."""
    return (degree_of(graph).degree or 0) > 1 and size_of(graph.nodes[0]) <= LARGEST
