"""Divide the region itself until every part is proven: complete, given time, and best where inputs are few."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline, tick
from surefoot.core.rounding import DOUBLE, LEAST, LOST, Arithmetic, difference_below, gamma, magnitude
from surefoot.graph.graph import Graph
from surefoot.reach.crown import (
    Choice,
    Relaxation,
    Tighten,
    Trace,
    lower_bounds,
    parallel_slopes,
    relax,
    tighten_all,
    tighten_by_crown,
    tighten_thoroughly,
)
from surefoot.reach.ibp import Box, size_of
from surefoot.spec.query import Query

AT_ONCE = 256
SHARE = 0.1  # of the time, that one batch may take
FINISH_FROM = 850  # boxes made before any is finished in another way
MEAN_TURNS = 10
AxisBy = Literal["slope", "trial"]
Effort = Literal["open", "all", "thorough"]
Finish = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # boxes to bounds, and inputs that may break the property
_TIGHTEN: dict[Effort, Tighten] = {
    "open": tighten_by_crown,
    "all": tighten_all,
    "thorough": tighten_thoroughly,
}


@dataclass(frozen=True, eq=False)
class Divided:
    """Whether all parts were proven, the least bound, a counterexample if one was met, and the parts (lower, upper)."""

    proven: bool
    margin: float
    counterexample: Tensor | None
    parts: int
    leaves: tuple[Tensor, Tensor] | None = None
    bisections: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # which box, along which axis, where


class OutputConstraints:
    """The rows of all unsafe sets one after another, and whose each is."""

    def __init__(self, query: Query) -> None:
        self.weights = torch.cat([torch.from_numpy(u.weights) for u in query.unsafe])
        self.bounds = torch.cat([torch.from_numpy(u.bounds) for u in query.unsafe])
        self.owner = torch.tensor([i for i, u in enumerate(query.unsafe) for _ in u.bounds])
        self.sets = len(query.unsafe)

    def of_sets(self, rows: Float[Tensor, "n rows"]) -> Float[Tensor, "n sets"]:
        """Return the largest of each set's rows, (n, rows) to (n, sets): a set is missed if one of its rows is."""
        found = rows.new_full((len(rows), self.sets), -torch.inf)
        return found.scatter_reduce(1, self.owner.expand(len(rows), -1), rows, "amax")

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
            own = self.owner == number
            value, slope = _best_mean(bounds[:, own], slopes[:, own], low, high)
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
        there = constants + (slopes @ x.unsqueeze(2)).squeeze(2)
        exponents = exponents + 3 / (turn + 1) ** 0.5 * there / there.abs().amax(1, keepdim=True).clamp(min=1e-300)
    return best, slope


@dataclass(frozen=True)
class Frontier:
    """How to divide.

    `axis_by`, along which input: `slope` takes that to which the bound owes most, coefficient times width; `trial`
    halves along each in turn and takes the best. Neither is better on all networks. `effort` says which values
    substitution bounds. `certifiable`: only by what certificates speak of, neither ReLUs nor rows taken together.
    `finish` is asked for other bounds of boxes that are still open when many have been made, and for inputs to replay;
    the largest boxes come first then. `grace`: so many times the time is allowed where little is left to prove.
    """

    axis_by: AxisBy = "slope"
    effort: Effort = "open"
    certifiable: bool = False
    finish: Finish | None = None
    most_parts: int = 10**9
    grace: float = 1.0


@dataclass
class _Batch:
    """How many boxes to take at once: the limit of time is seen after each batch, so none may take long."""

    seconds: float
    work: Callable[[], float]  # the clock of the deadline
    size: int = 1
    parts: int = 0
    begin: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self.begin = self.work()

    def next_size(self, parts: int) -> int:
        """Return how many boxes the cost of the last batch allows, `parts` having been made by now."""
        now = self.work()
        if done := parts - self.parts:
            self.size = max(min(AT_ONCE, 2 * self.size, int(done * self.seconds / max(now - self.begin, 1e-9))), 1)
        self.parts, self.begin = parts, now
        return self.size


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


def prove_by_input_splitting(
    graph: Graph,
    query: Query,
    arithmetic: Arithmetic,
    seconds: float | Deadline,
    replay: Callable[[Tensor], Tensor | None],
    plan: Frontier = Frontier(),
) -> Divided:
    """Halve boxes until each is proven or one holds a counterexample."""
    rows = OutputConstraints(query)
    low, high = torch.from_numpy(query.inputs.lower)[None], torch.from_numpy(query.inputs.upper)[None]
    number = torch.zeros(1, dtype=torch.long)  # of each box, in the order in which halving made them
    made = 1
    proven: list[tuple[Tensor, Tensor]] = []
    bisections: list[tuple[Tensor, Tensor, Tensor]] = []
    margin, parts, deadline = torch.inf, 0, Deadline.of(seconds)
    batch = _Batch(SHARE * deadline.work_left, deadline.clock.work)
    progress = _Progress(high[0] - low[0], deadline, plan.grace)
    while len(low):
        tick()
        some = batch.next_size(parts)
        if plan.finish is None:
            (low, lo), (high, hi), (number, own) = ((t[:-some], t[-some:]) for t in (low, high, number))
        else:
            (lo, low), (hi, high), (own, number) = ((t[:some], t[some:]) for t in (low, high, number))
        parts += len(lo)
        sets, slopes = bound_sets(graph, lo, hi, rows, arithmetic, plan.effort, plan.certifiable)
        open_ = (sets > 0).all(1).logical_not()  # what is not a number is not proven
        if bool(open_.logical_not().any()):
            margin = min(margin, float(sets[~open_].min()))
            proven.append((lo[~open_], hi[~open_]))
            progress.add(*proven[-1])
        if not bool(open_.any()):
            continue
        lo, hi, own, sets, slopes = (t[open_] for t in (lo, hi, own, sets, slopes))
        slope = slopes[torch.arange(len(lo)), sets.argmin(1)]
        found = replay(torch.cat([torch.where(slope > 0, lo, hi), (lo + hi) / 2]))
        if found is not None:
            return Divided(False, float(sets.min()), found, parts)
        if plan.finish is not None and parts > FINISH_FROM:
            bounds, found = _finished(plan.finish, lo, hi, replay)
            if found is not None:
                return Divided(False, float(sets.min()), found, parts)
            margin = min([margin, *bounds[bounds > 0].tolist()])
            lo, hi, own, sets, slope = (t[(bounds > 0).logical_not()] for t in (lo, hi, own, sets, slope))
            if not len(lo):
                continue
        if progress.is_over() or parts > plan.most_parts:
            return Divided(False, float(sets.min()), None, parts)
        if plan.axis_by == "slope":  # also along an input that the bound does not see: what is relaxed may depend on it
            steep = torch.maximum(slope.abs(), 0.01 * slope.abs().amax(1, keepdim=True))
            axis = (steep * (hi - lo)).argmax(1)
        else:
            axis = _best_axis(graph, lo, hi, rows, arithmetic, plan.certifiable, deadline)
        left, right, middle, splits = _halved(lo, hi, axis)
        if not bool(splits.all()):  # no number is left between
            return Divided(False, float(sets.min()), None, parts)
        bisections.append((own, axis, middle))
        first = made + 2 * torch.arange(len(lo))
        made += 2 * len(lo)
        low, high = torch.cat([low, lo, right]), torch.cat([high, left, hi])
        number = torch.cat([number, first, first + 1])
    return Divided(True, margin, None, parts, *_gathered(proven, bisections, query.inputs.size))


def _gathered(
    proven: list[tuple[Tensor, Tensor]], bisections: list[tuple[Tensor, Tensor, Tensor]], inputs: int
) -> tuple[tuple[Tensor, Tensor], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    none = torch.zeros(0, inputs, dtype=torch.float64)
    leaves = (torch.cat([none, *(lo for lo, _ in proven)]), torch.cat([none, *(hi for _, hi in proven)]))
    splits = tuple(
        torch.cat([torch.zeros(0, dtype=torch.float64), *(hi[i].double() for hi in bisections)]).numpy()
        for i in range(3)
    )
    return leaves, (splits[0].astype(int), splits[1].astype(int), splits[2])


def _finished(
    finish: Finish, low: Tensor, high: Tensor, replay: Callable[[Tensor], Tensor | None]
) -> tuple[Tensor, Tensor | None]:
    bounds, suspects = finish(low, high)
    return bounds, replay(suspects) if len(suspects) else None


def _halved(low: Tensor, high: Tensor, axis: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve each box along its axis: upper corners of the lower halves, lower ones of the upper, where, and whether."""
    at = torch.arange(len(low))
    middle = (low[at, axis] + high[at, axis]) / 2
    left, right = high.clone(), low.clone()
    left[at, axis] = middle
    right[at, axis] = middle
    return left, right, middle, (middle > low[at, axis]) & (middle < high[at, axis])


def _best_axis(
    graph: Graph,
    low: Tensor,
    high: Tensor,
    rows: OutputConstraints,
    arithmetic: Arithmetic,
    certifiable: bool,
    until: Deadline,
) -> Tensor:
    """Halve along each input that is not fixed; take that whose two halves miss least, over all unsafe sets.

    When the time is up, of those that were tried.
    """
    worth = torch.full(low.shape, -torch.inf, dtype=low.dtype)
    for axis in ((high > low).any(0)).nonzero().squeeze(1).tolist():
        if until.is_over():
            break
        left, right, _, splits = _halved(low, high, torch.full((len(low),), axis))
        lows, highs = torch.cat([low, right]), torch.cat([left, high])
        sets, _ = bound_sets(graph, lows, highs, rows, arithmetic, "thorough", certifiable)
        missing = sets.clamp(max=0).sum(1)
        worth[:, axis] = torch.where(splits, missing[: len(low)] + missing[len(low) :], -torch.inf)
    return worth.argmax(1)


def bound_sets(
    graph: Graph,
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    rows: OutputConstraints,
    arithmetic: Arithmetic,
    effort: Effort = "open",
    certifiable: bool = False,
) -> tuple[Float[Tensor, "n sets"], Float[Tensor, "n sets d"]]:
    """Bound from below by how much each box misses each unsafe set; return it, and the slopes of the input."""
    shape = (-1, *graph.input_shape)
    region = Box(low.reshape(shape), high.reshape(shape))
    made = relax(graph, region, arithmetic, _TIGHTEN[effort], multi_neuron=not certifiable)
    weights = rows.weights.expand(len(low), -1, -1).reshape(len(low), -1, *graph.output_shape)
    out = len(graph.nodes) - 1
    bounds, slopes = _bound_rows(made, out, weights, None)
    if effort == "thorough":
        others, steep = _bound_rows(made, out, weights, parallel_slopes(made, out))
        better = others > bounds
        bounds, slopes = torch.where(better, others, bounds), torch.where(better.unsqueeze(2), steep, slopes)
    bounds = difference_below(bounds, rows.bounds)
    if not certifiable:
        return rows.together(bounds, slopes, low, high)
    at = torch.arange(len(low)).unsqueeze(1)
    row = torch.stack([torch.where(rows.owner == i, bounds, -torch.inf).argmax(1) for i in range(rows.sets)], 1)
    return bounds[at, row], slopes[at, row]


def _bound_rows(made: Relaxation, out: int, weights: Tensor, choice: Choice | None) -> tuple[Tensor, Tensor]:
    trace = Trace()
    bounds = lower_bounds(made, out, weights, choice, trace)
    if trace.input is None:
        return bounds, torch.zeros(*bounds.shape, size_of(made.graph.nodes[0]), dtype=bounds.dtype)
    return bounds, trace.input.flatten(2)
