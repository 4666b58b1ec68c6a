"""Input splitting: bisect boxes until each is proven. Complete, given time, and best where inputs are few."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import DOUBLE, LEAST, LOST, Arithmetic, difference_below, gamma, magnitude
from surefoot.graph.graph import Graph
from surefoot.reach.crown import Trace, lower_bounds
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import Choice, Relaxation, Tighten, relax
from surefoot.reach.tightening import parallel_slopes, tighten_all, tighten_by_crown, tighten_thoroughly
from surefoot.spec.query import Query
from surefoot.verify.bisection import bisect, bisect_along, ends
from surefoot.verify.branch_and_bound import (
    Bounds,
    Paced,
    Problem,
    Replay,
    Result,
    branch_and_bound,
    breadth_first,
    depth_first,
)

BATCH_BOXES = 256
SHARE = 0.1  # of the time, that one batch may take
FALLBACK_FROM = 850  # boxes made before the fallback gets any
MEAN_TURNS = 10
AxisBy = Literal["slope", "trial"]
Effort = Literal["unstable", "all", "thorough"]
# Boxes to bounds, and inputs that may break the property.
FallbackBounds = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
_TIGHTEN: dict[Effort, Tighten] = {
    "unstable": tighten_by_crown,
    "all": tighten_all,
    "thorough": tighten_thoroughly,
}


@dataclass(frozen=True, eq=False)
class SubBox:
    """A part of the region, how its worst bound depends on each input, and whether the fallback bounded it since."""

    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    slope: Float[Tensor, " d"] | None = None
    by_fallback: bool = False


Bisection = tuple[int, float]  # along which input, and where


class OutputConstraints:
    """The rows of all unsafe sets one after another, and whose each is."""

    def __init__(self, query: Query) -> None:
        self.weights = torch.cat([torch.from_numpy(u.weights) for u in query.unsafe])
        self.bounds = torch.cat([torch.from_numpy(u.bounds) for u in query.unsafe])
        self.owner = torch.tensor([i for i, u in enumerate(query.unsafe) for _ in u.bounds])
        self.sets = len(query.unsafe)

    def of_sets(self, rows: Float[Tensor, "n rows"]) -> Float[Tensor, "n sets"]:
        """Return the largest of each set's rows, (n, rows) to (n, sets): a set is missed if one of its rows is."""
        largest = rows.new_full((len(rows), self.sets), -torch.inf)
        return largest.scatter_reduce(1, self.owner.expand(len(rows), -1), rows, "amax")

    def together(
        self,
        bounds: Float[Tensor, "n rows"],
        slopes: Float[Tensor, "n rows d"],
        low: Float[Tensor, "n d"],
        high: Float[Tensor, "n d"],
    ) -> tuple[Float[Tensor, "n sets"], Float[Tensor, "n sets d"]]:
        """Return by how much each set is missed (n, sets), and the slopes (n, sets, d) of the row that shows it.

        Over the box, row r is at least c_r + slopes_r · x, and each mean of rows is positive where all of the set could
        not be met: the weights of the mean are improved by ascent. `bounds` (n, rows), `slopes` (n, rows, d).

        Property: sound, for whatever weights.
        """
        values, chosen = [], []
        for number in range(self.sets):
            of_set = self.owner == number
            value, slope = _best_mean(bounds[:, of_set], slopes[:, of_set], low, high)
            values.append(value)
            chosen.append(slope)
        return torch.stack(values, 1), torch.stack(chosen, 1)


def _best_mean(bounds: Tensor, slopes: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    at = torch.arange(len(bounds))
    row = bounds.argmax(1)
    best, slope = bounds[at, row], slopes[at, row]
    if bounds.shape[1] == 1 or bool((best > 0).all()):
        return best, slope
    sizes = (magnitude(slopes) * magnitude(torch.maximum(low.abs(), high.abs())).unsqueeze(1)).sum(2)
    unit = gamma(8 * low.shape[1] + 8 * bounds.shape[1], DOUBLE)
    constants = bounds - (slopes.clamp(min=0) @ low.unsqueeze(2) + slopes.clamp(max=0) @ high.unsqueeze(2)).squeeze(2)
    constants = constants - unit * (sizes + bounds.abs())
    exponents = torch.zeros_like(bounds)
    for turn in range(MEAN_TURNS):
        weights = exponents.softmax(1)
        mean = (weights.unsqueeze(1) @ slopes).squeeze(1)
        x = torch.where(mean > 0, low, high)
        value = (weights * constants - (weights + LEAST) * unit * sizes).sum(1) + (mean * x).sum(1) - LOST
        better = value > best
        best, slope = torch.where(better, value, best), torch.where(better.unsqueeze(1), mean, slope)
        values = constants + (slopes @ x.unsqueeze(2)).squeeze(2)
        exponents = exponents + 3 / (turn + 1) ** 0.5 * values / values.abs().amax(1, keepdim=True).clamp(min=1e-300)
    return best, slope


@dataclass(frozen=True)
class SplittingOptions:
    """How to divide.

    `axis_by`, along which input: `slope` takes that to which the bound owes most, coefficient times width; `trial`
    bisects along each in turn and takes the best. Neither is better on all networks. `effort` says which values
    CROWN bounds. `certifiable`: only by what certificates speak of, neither ReLUs nor rows taken together.
    `fallback` is asked for other bounds of boxes that are still open when many have been made, and for inputs to
    replay; the largest boxes come first then. `grace`: so many times the time is allowed where little is left to
    prove.
    """

    axis_by: AxisBy = "slope"
    effort: Effort = "unstable"
    certifiable: bool = False
    fallback: FallbackBounds | None = None
    most_subproblems: int = 10**9
    grace: float = 1.0


@dataclass
class _Progress:
    """The share of the region that was proven by when: one box after another it grows steadily, or it stalls."""

    whole: Tensor  # widths
    deadline: Deadline
    grace: float = 1.0
    seen: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    begin: float = field(init=False)
    seconds: float = field(init=False)  # of work

    def __post_init__(self) -> None:
        """Begin now."""
        self.begin, self.seconds = self.deadline.clock.work(), self.deadline.work_left

    @property
    def gone(self) -> float:
        return self.deadline.clock.work() - self.begin

    def add(self, low: Tensor, high: Tensor) -> None:
        free = self.whole > 0
        share = float(((high - low)[:, free] / self.whole[free]).prod(1).sum())
        self.seen.append((self.gone, self.seen[-1][1] + share))

    def is_nearly_done(self) -> bool:
        """Whether all would be proven in as much time again, at the rate of the second half of the time so far."""
        half = self.gone / 2
        earlier = max(share for when, share in self.seen if when <= half)
        return 1 - self.seen[-1][1] <= 2 * (self.seen[-1][1] - earlier)

    def is_over(self) -> bool:
        """Whether the time is up; of work so many times as much is allowed to what is nearly done."""
        gone = self.gone
        if self.deadline.is_late():
            return True
        return gone > self.seconds and (gone > self.grace * self.seconds or not self.is_nearly_done())


class _InputSplitting(Problem[SubBox, Bisection]):
    def __init__(
        self, graph: Graph, query: Query, arithmetic: Arithmetic, options: SplittingOptions, deadline: Deadline
    ) -> None:
        self.graph, self.arithmetic, self.options, self.deadline = graph, arithmetic, options, deadline
        self.rows = OutputConstraints(query)
        self.whole = SubBox(torch.from_numpy(query.inputs.lower), torch.from_numpy(query.inputs.upper))
        self.progress = _Progress(self.whole.high - self.whole.low, deadline, options.grace)

    def roots(self) -> Sequence[SubBox]:
        return (self.whole,)

    def bound(self, batch: Sequence[SubBox]) -> Bounds[SubBox]:
        low, high = ends(batch)
        sets, slopes = bound_sets(
            self.graph, low, high, self.rows, self.arithmetic, self.options.effort, self.options.certifiable
        )
        slope = slopes[torch.arange(len(low)), sets.argmin(1)]
        values = sets.amin(1)
        proven = values > 0
        if bool(proven.any()):
            self.progress.add(low[proven], high[proven])
        lo, hi = low[~proven], high[~proven]
        suspects = torch.cat([torch.where(slope[~proven] > 0, lo, hi), (lo + hi) / 2])
        return Bounds(values, [replace(box, slope=s) for box, s in zip(batch, slope, strict=True)], suspects)

    def fallback(self, batch: Sequence[SubBox], bounded: int) -> Bounds[SubBox] | None:
        if self.options.fallback is None or bounded <= FALLBACK_FROM:
            return None
        values, suspects = self.options.fallback(*ends(batch))
        return Bounds(values, [replace(box, by_fallback=True) for box in batch], suspects)

    def branch(self, batch: Sequence[SubBox]) -> Sequence[tuple[Bisection, Sequence[SubBox]]] | None:
        low, high = ends(batch)
        worth = self._by_trial(low, high) if self.options.axis_by == "trial" else _by_slope(batch, low, high)
        halves = bisect(low, high, worth)
        if halves is None:
            return None
        return [
            ((axis, middle), (SubBox(box.low, left), SubBox(right, box.high)))
            for box, left, right, axis, middle in zip(batch, *halves, strict=True)
        ]

    def _by_trial(self, low: Tensor, high: Tensor) -> Tensor:
        """Bisect along each input that is not fixed; say how little the two halves miss, over all unsafe sets.

        When the time is up, of those that were tried.
        """
        worth = torch.full(low.shape, -torch.inf, dtype=low.dtype)
        for axis in ((high > low).any(0)).nonzero().squeeze(1).tolist():
            if self.deadline.is_over():
                break
            left, right, _ = bisect_along(low, high, torch.full((len(low),), axis))
            lows, highs = torch.cat([low, right]), torch.cat([left, high])
            sets, _ = bound_sets(
                self.graph, lows, highs, self.rows, self.arithmetic, "thorough", self.options.certifiable
            )
            missing = sets.clamp(max=0).sum(1)
            worth[:, axis] = missing[: len(low)] + missing[len(low) :]
        return worth


def prove_by_input_splitting(
    graph: Graph,
    query: Query,
    arithmetic: Arithmetic,
    seconds: float | Deadline,
    replay: Replay,
    options: SplittingOptions = SplittingOptions(),
) -> Result[SubBox, Bisection]:
    """Bisect boxes until each is proven or one holds a counterexample."""
    deadline = Deadline.of(seconds)
    problem = _InputSplitting(graph, query, arithmetic, options, deadline)
    size = Paced(SHARE * deadline.work_left, deadline.clock.work, BATCH_BOXES)
    order = depth_first if options.fallback is None else breadth_first  # what the fallback gets should be large
    return branch_and_bound(problem, replay, problem.progress.is_over, size, order, options.most_subproblems)


def bisections_of(result: Result[SubBox, Bisection]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write how boxes were bisected as a certificate has it: which box, along which axis, where."""
    which = np.array([number for number, _ in result.branchings], dtype=int)
    axis = np.array([axis for _, (axis, _) in result.branchings], dtype=int)
    return which, axis, np.array([middle for _, (_, middle) in result.branchings], dtype=float)


def _by_slope(batch: Sequence[SubBox], low: Tensor, high: Tensor) -> Tensor:
    """Take coefficient times width; an input without a coefficient counts too: what is relaxed may depend on it."""
    slope = torch.stack([box.slope for box in batch if box.slope is not None]).abs()
    return torch.maximum(slope, 0.01 * slope.amax(1, keepdim=True)) * (high - low)


def bound_sets(
    graph: Graph,
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    rows: OutputConstraints,
    arithmetic: Arithmetic,
    effort: Effort = "unstable",
    certifiable: bool = False,
) -> tuple[Float[Tensor, "n sets"], Float[Tensor, "n sets d"]]:
    """Bound from below by how much each box misses each unsafe set; return it, and the slopes of the input."""
    shape = (-1, *graph.input_shape)
    region = Box(low.reshape(shape), high.reshape(shape))
    relaxation = relax(graph, region, arithmetic, _TIGHTEN[effort], multi_neuron=not certifiable)
    weights = rows.weights.expand(len(low), -1, -1).reshape(len(low), -1, *graph.output_shape)
    out = len(graph.nodes) - 1
    bounds, slopes = _bound_rows(relaxation, out, weights, None)
    if effort == "thorough":
        others, steep = _bound_rows(relaxation, out, weights, parallel_slopes(relaxation, out))
        better = others > bounds
        bounds, slopes = torch.where(better, others, bounds), torch.where(better.unsqueeze(2), steep, slopes)
    bounds = difference_below(bounds, rows.bounds)
    if not certifiable:
        return rows.together(bounds, slopes, low, high)
    at = torch.arange(len(low)).unsqueeze(1)
    row = torch.stack([torch.where(rows.owner == i, bounds, -torch.inf).argmax(1) for i in range(rows.sets)], 1)
    return bounds[at, row], slopes[at, row]


def _bound_rows(relaxation: Relaxation, out: int, weights: Tensor, choice: Choice | None) -> tuple[Tensor, Tensor]:
    trace = Trace()
    bounds = lower_bounds(relaxation, out, weights, choice, trace)
    if trace.input is None:
        return bounds, torch.zeros(*bounds.shape, size_of(relaxation.graph.nodes[0]), dtype=bounds.dtype)
    return bounds, trace.input.flatten(2)
