"""Divide the region itself until every part is proven: complete, given time, and best where inputs are few."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from surefoot.graph.graph import Graph
from surefoot.reach.backward import Relaxation, Trace, lower_bounds, relax, tighten_by_substitution
from surefoot.reach.boxes import Box
from surefoot.reach.rounding import Arithmetic
from surefoot.verify.query import Query

AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Divided:
    """Whether all parts were proven, the least bound, a counterexample if one was met, the parts proven (lower, upper)."""

    proven: bool
    margin: float
    counterexample: Tensor | None
    parts: int
    leaves: tuple[Tensor, Tensor] | None = None


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
) -> Divided:
    """Halve boxes, along the input to which the bound owes most, until each is proven or one holds a counterexample."""
    end = time.monotonic() + seconds
    rows = Rows(query)
    low, high = torch.from_numpy(query.lower)[None], torch.from_numpy(query.upper)[None]
    proven: list[tuple[Tensor, Tensor]] = []
    margin, parts = torch.inf, 0
    while len(low):
        l, h = low[-AT_ONCE:], high[-AT_ONCE:]
        low, high = low[:-AT_ONCE], high[:-AT_ONCE]
        parts += len(l)
        bounds, slopes = bound_boxes(graph, l, h, rows, arithmetic)
        sets = rows.of_sets(bounds)
        open_ = (sets <= 0).any(1)
        if bool(open_.logical_not().any()):
            margin = min(margin, float(sets[~open_].min()))
            proven.append((l[~open_], h[~open_]))
        if not bool(open_.any()):
            continue
        l, h, sets, bounds, slopes = l[open_], h[open_], sets[open_], bounds[open_], slopes[open_]
        worst = sets.argmin(1)
        row = torch.where(rows.owner[None] == worst[:, None], bounds, -torch.inf).argmax(1)
        slope = slopes[torch.arange(len(l)), row]
        found = replay(torch.cat([torch.where(slope > 0, l, h), (l + h) / 2]))
        if found is not None:
            return Divided(False, float(sets.min()), found, parts)
        if time.monotonic() > end:
            return Divided(False, float(sets.min()), None, parts)
        axis = (slope.abs() * (h - l)).argmax(1)
        at = torch.arange(len(l))
        middle = (l[at, axis] + h[at, axis]) / 2
        if bool(((middle <= l[at, axis]) | (middle >= h[at, axis])).any()):  # no number is left between
            return Divided(False, float(sets.min()), None, parts)
        left, right = h.clone(), l.clone()
        left[at, axis] = middle
        right[at, axis] = middle
        low, high = torch.cat([low, l, right]), torch.cat([high, left, h])
    leaves = (torch.cat([l for l, _ in proven]), torch.cat([h for _, h in proven]))
    return Divided(True, margin, None, parts, leaves)


def bound_boxes(
    graph: Graph, low: Tensor, high: Tensor, rows: Rows, arithmetic: Arithmetic
) -> tuple[Tensor, Tensor]:
    """Bound weights y - bounds over each box from below; return it, and the coefficients of the input."""
    made = relax_boxes(graph, low, high, arithmetic)
    trace = Trace()
    found = lower_bounds(made, len(graph.nodes) - 1, rows.weights.expand(len(low), -1, -1).reshape(
        len(low), -1, *graph.output_shape), trace=trace)
    found = found - rows.bounds - 4e-16 * rows.bounds.abs()
    slopes = torch.zeros(*found.shape, low.shape[1], dtype=low.dtype) if trace.input is None else trace.input.flatten(2)
    return found, slopes


def relax_boxes(graph: Graph, low: Tensor, high: Tensor, arithmetic: Arithmetic) -> Relaxation:
    """Bound every node over boxes given flat."""
    shape = (-1, *graph.input_shape)
    return relax(graph, Box(low.reshape(shape), high.reshape(shape)), arithmetic, tighten_by_substitution)
