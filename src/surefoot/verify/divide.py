"""Divide the region itself until every part is proven: complete, given time, and best where inputs are few."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from surefoot.graph.graph import Graph
from surefoot.reach.backward import (
    Tighten,
    Trace,
    lower_bounds,
    parallel_slopes,
    relax,
    tighten_all,
    tighten_by_substitution,
    tighten_thoroughly,
)
from surefoot.reach.boxes import Box
from surefoot.reach.rounding import Arithmetic
from surefoot.verify.query import Query

AT_ONCE = 256
AxisBy = Literal["slope", "trial"]
Effort = Literal["open", "all", "thorough"]
_TIGHTEN: dict[Effort, Tighten] = {
    "open": tighten_by_substitution,
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
    halvings: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # which box, along which axis, where


class Rows:
    """The rows of all unsafe sets one after another, and whose each is."""

    def __init__(self, query: Query) -> None:
        self.weights = torch.cat([torch.from_numpy(u.weights) for u in query.unsafe])
        self.bounds = torch.cat([torch.from_numpy(u.bounds) for u in query.unsafe])
        self.owner = torch.tensor([i for i, u in enumerate(query.unsafe) for _ in u.bounds])
        self.sets = len(query.unsafe)

    def of_sets(self, rows: Tensor) -> Tensor:
        """Return the largest of each set's rows, (n, rows) to (n, sets): a set is missed if one of its rows is."""
        found = rows.new_full((len(rows), self.sets), -torch.inf)
        return found.scatter_reduce(1, self.owner.expand(len(rows), -1), rows, "amax")


def divide(
    graph: Graph,
    query: Query,
    arithmetic: Arithmetic,
    seconds: float,
    replay: Callable[[Tensor], Tensor | None],
    axis_by: AxisBy = "slope",
    effort: Effort = "open",
) -> Divided:
    """Halve boxes until each is proven or one holds a counterexample.

    Along which input: `slope` takes that to which the bound owes most, coefficient times width; `trial` halves along
    each in turn and takes the best. Neither is better on all networks. `effort` says which values substitution
    bounds.
    """
    end = time.monotonic() + seconds
    rows = Rows(query)
    low, high = torch.from_numpy(query.lower)[None], torch.from_numpy(query.upper)[None]
    number = torch.zeros(1, dtype=torch.long)  # of each box, in the order in which halving made them
    made = 1
    proven: list[tuple[Tensor, Tensor]] = []
    halvings: list[tuple[Tensor, Tensor, Tensor]] = []
    margin, parts = torch.inf, 0
    while len(low):
        lo, hi, own = low[-AT_ONCE:], high[-AT_ONCE:], number[-AT_ONCE:]
        low, high, number = low[:-AT_ONCE], high[:-AT_ONCE], number[:-AT_ONCE]
        parts += len(lo)
        bounds, slopes = bound_boxes(graph, lo, hi, rows, arithmetic, effort)
        sets = rows.of_sets(bounds)
        open_ = (sets > 0).all(1).logical_not()  # what is not a number is not proven
        if bool(open_.logical_not().any()):
            margin = min(margin, float(sets[~open_].min()))
            proven.append((lo[~open_], hi[~open_]))
        if not bool(open_.any()):
            continue
        lo, hi, own, sets, bounds, slopes = (t[open_] for t in (lo, hi, own, sets, bounds, slopes))
        worst = sets.argmin(1)
        row = torch.where(rows.owner[None] == worst[:, None], bounds, -torch.inf).argmax(1)
        slope = slopes[torch.arange(len(lo)), row]
        found = replay(torch.cat([torch.where(slope > 0, lo, hi), (lo + hi) / 2]))
        if found is not None:
            return Divided(False, float(sets.min()), found, parts)
        if time.monotonic() > end:
            return Divided(False, float(sets.min()), None, parts)
        at = torch.arange(len(lo))
        axis = (
            (slope.abs() * (hi - lo)).argmax(1) if axis_by == "slope" else _best_axis(graph, lo, hi, rows, arithmetic)
        )
        middle = (lo[at, axis] + hi[at, axis]) / 2
        if bool(((middle <= lo[at, axis]) | (middle >= hi[at, axis])).any()):  # no number is left between
            return Divided(False, float(sets.min()), None, parts)
        left, right = hi.clone(), lo.clone()
        left[at, axis] = middle
        right[at, axis] = middle
        halvings.append((own, axis, middle))
        first = made + 2 * at
        made += 2 * len(lo)
        low, high = torch.cat([low, lo, right]), torch.cat([high, left, hi])
        number = torch.cat([number, first, first + 1])
    leaves = (torch.cat([lo for lo, _ in proven]), torch.cat([hi for _, hi in proven]))
    cuts = tuple(
        torch.cat([torch.zeros(0, dtype=torch.float64), *(hi[i].double() for hi in halvings)]).numpy() for i in range(3)
    )
    return Divided(True, margin, None, parts, leaves, (cuts[0].astype(int), cuts[1].astype(int), cuts[2]))


def _best_axis(graph: Graph, low: Tensor, high: Tensor, rows: Rows, arithmetic: Arithmetic) -> Tensor:
    """Halve along each input that is not fixed; take that whose two halves miss least, over all unsafe sets."""
    worth = torch.full(low.shape, -torch.inf, dtype=low.dtype)
    for axis in ((high > low).any(0)).nonzero().squeeze(1).tolist():
        middle = (low[:, axis] + high[:, axis]) / 2
        left, right = high.clone(), low.clone()
        left[:, axis] = middle
        right[:, axis] = middle
        bounds, _ = bound_boxes(graph, torch.cat([low, right]), torch.cat([left, high]), rows, arithmetic, "thorough")
        missing = rows.of_sets(bounds).clamp(max=0).sum(1)
        splits = (middle > low[:, axis]) & (middle < high[:, axis])
        worth[:, axis] = torch.where(splits, missing[: len(low)] + missing[len(low) :], -torch.inf)
    return worth.argmax(1)


def bound_boxes(
    graph: Graph, low: Tensor, high: Tensor, rows: Rows, arithmetic: Arithmetic, effort: Effort = "open"
) -> tuple[Tensor, Tensor]:
    """Bound weights y - bounds over each box from below; return it, and the coefficients of the input."""
    shape = (-1, *graph.input_shape)
    made = relax(graph, Box(low.reshape(shape), high.reshape(shape)), arithmetic, _TIGHTEN[effort])
    weights = rows.weights.expand(len(low), -1, -1).reshape(len(low), -1, *graph.output_shape)
    out = len(graph.nodes) - 1
    best: tuple[Tensor, Tensor] | None = None
    for slopes in (None, parallel_slopes(made, out)) if effort == "thorough" else (None,):
        trace = Trace()
        found = lower_bounds(made, out, weights, slopes, trace=trace) - rows.bounds - 4e-16 * rows.bounds.abs()
        of_input = torch.zeros(*found.shape, low.shape[1], dtype=low.dtype)
        if trace.input is not None:
            of_input = trace.input.flatten(2)
        if best is None:
            best = found, of_input
        else:
            better = found > best[0]
            best = torch.where(better, found, best[0]), torch.where(better.unsqueeze(2), of_input, best[1])
    assert best is not None
    return best
