"""Input splitting of dense networks: boxes inherit bounds, and lose what is proven before they are bisected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import LEAST, difference_below
from surefoot.graph.graph import Graph
from surefoot.reach.dense import DenseBounds, DenseNetwork
from surefoot.reach.difference import DensePair, PairBounds
from surefoot.spec.query import Query
from surefoot.verify.bisection import bisect, ends
from surefoot.verify.branch_and_bound import (
    Bounds,
    Paced,
    Problem,
    Replay,
    Result,
    best_first,
    branch_and_bound,
)
from surefoot.verify.dense_fallback import DenseFallback, ProvenBox
from surefoot.verify.input_splitting import SHARE, Bisection, OutputConstraints

BATCH_BOXES = 128
BATCH_NUMBERS = 2**22  # in the linear functions of all hidden values of a batch
CUT_MARGIN = 0.01  # of what a box lacks: by so much what is cut off misses the unsafe set
MOST_KNOWN = 2**25  # numbers that are kept of open boxes, before those that were made last are taken first
ROUNDING_SHARE = 0.5  # of what a box lacks: where float32 errors are more, it is only proven for real arithmetic
OUTWARD = 1 + 1e-12  # more than three operations round
FALLBACK_FROM = 500  # boxes bounded before signs of any are split
UNSTABLE = 64.0  # ReLUs of a box whose signs are split, at most
AGAIN = 0.7  # times as many, of a part of a box where that failed


@dataclass(frozen=True, eq=False)
class DensePart:
    """A part of the region, what is known of its hidden values (2, M), and the halves of what is left of it.

    `float32`: whether all this holds for float32 too. `by_trial`: how the input to bisect along is chosen. `unstable`:
    how many such ReLUs it may have for their signs to be split. `proven`: by that.
    """

    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    float32: bool
    known: Float[Tensor, "2 M"] | None = None
    by_trial: bool = True
    bisection: Bisection | None = None
    halves: tuple["DensePart", ...] = ()
    unstable: float = UNSTABLE
    proven: ProvenBox | None = None


def cut_box(
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    bounds: Float[Tensor, "n r"],
    lines: Float[Tensor, "n r d"],
    margin: Float[Tensor, " n"],
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Cut each box to where all rows may be at most a margin; empty (low > high) where there is nothing such.

    Row r is at least bounds_r where lines_r is least, and lines_r · distance more elsewhere: along input j only points
    within (margin - bounds_r) / |lines_rj| of that end are left.

    Property: sound, rounded outward. *Reference*: domain clipping, Zhou et al. 2025 (Clip-and-Verify).
    """
    room = (margin.unsqueeze(1) - bounds).unsqueeze(2) * OUTWARD / lines.abs()
    room = room.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)  # what is no number cuts nothing off
    up = torch.nextafter(low.unsqueeze(1) + room, room.new_tensor(torch.inf))
    down = torch.nextafter(high.unsqueeze(1) - room, room.new_tensor(-torch.inf))
    up = torch.where(lines > 0, up, torch.inf).amin(1)
    down = torch.where(lines < 0, down, -torch.inf).amax(1)
    return torch.maximum(low, down), torch.minimum(high, up)


class _DenseSplitting(Problem[DensePart, Bisection]):
    def __init__(
        self, network: DenseNetwork | DensePair, rows: OutputConstraints, begin: Sequence[DensePart], replay: Replay,
        by_relus: DenseFallback | None = None,
    ) -> None:  # fmt: skip
        self.network, self.rows, self.begin, self.replay, self.by_relus = network, rows, begin, replay, by_relus
        self.free = (begin[0].high > begin[0].low).nonzero().squeeze(1).tolist()
        self.cut_margin = torch.inf  # by how much all that was cut off misses what is unsafe
        self.open, self.most_open = 0, MOST_KNOWN // (4 * network.hidden)
        self.alone = 0  # subproblems of boxes whose signs were split

    def roots(self) -> Sequence[DensePart]:
        return self.begin

    def bound(self, batch: Sequence[DensePart]) -> Bounds[DensePart]:
        low, high = ends(batch)
        known = [part.known for part in batch if part.known is not None]
        float32 = torch.tensor([part.float32 for part in batch])
        over = self.network.over(low, high, float32, torch.stack(known) if known else None)
        rows, paid, lines = over.rows(self.rows.weights)
        rows = difference_below(rows, self.rows.bounds)
        sets, slopes = self.rows.together(rows, lines, low, high)
        values = sets.amin(1)
        float32 = float32 & (paid.amax(1) <= ROUNDING_SHARE * values.abs())
        at = (~(values > 0)).nonzero().squeeze(1)
        lo, hi, margin = self._cut(low[at], high[at], rows[at], lines[at], sets[at])
        cut, empty = ((lo > low[at]) | (hi < high[at])).any(1), (lo > hi).any(1)
        values = values.index_put((at[empty],), margin[empty])
        self.cut_margin = min([self.cut_margin, *margin[cut].tolist()])
        at, lo, hi = at[~empty], lo[~empty], hi[~empty]
        slope = slopes[at, sets[at].argmin(1)]
        suspects = torch.cat([torch.where(slope > 0, low[at], high[at]), (lo + hi) / 2])
        parts = [replace(part, known=None) for part in batch]  # what is proven needs no bounds any more
        if len(at):
            halved = self._halved(batch, over, at, lo, hi, sets[at], slope, float32[at].tolist())
            for i, part in zip(at.tolist(), halved, strict=True):
                parts[i] = part
        return Bounds(values, parts, suspects)

    def _cut(
        self, low: Tensor, high: Tensor, rows: Tensor, lines: Tensor, sets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Cut boxes to the hull of what each unsafe set that is open leaves of it; by how much the rest misses them."""
        margin = (-CUT_MARGIN * sets.amin(1)).nan_to_num(nan=0.0, posinf=0.0).clamp(min=LEAST)
        lows, highs = torch.full_like(low, torch.inf), torch.full_like(high, -torch.inf)
        for number in range(self.rows.sets):
            of_set = self.rows.owner == number
            lo, hi = cut_box(low, high, rows[:, of_set], lines[:, of_set], margin)
            left = (~(sets[:, number] > margin) & ~(lo > hi).any(1)).unsqueeze(1)
            lows, highs = (
                torch.where(left, torch.minimum(lows, lo), lows),
                torch.where(left, torch.maximum(highs, hi), highs),
            )
        return lows, highs, margin

    def _halved(
        self, batch: Sequence[DensePart], over: DenseBounds | PairBounds, at: Int[Tensor, " c"], low: Tensor,
        high: Tensor, sets: Tensor, slope: Tensor, in_float32: list[bool],
    ) -> list[DensePart]:  # fmt: skip
        """Bisect what is left of boxes, and hand on what is known of them."""
        size = slope.abs()
        worth = torch.maximum(size, 0.01 * size.amax(1, keepdim=True)) * (high - low)
        by_trial = [batch[i].by_trial for i in at.tolist()]
        tried = torch.tensor(by_trial).nonzero().squeeze(1)
        if len(tried) and len(self.free) > 1:
            worth[tried] = self._by_trial(over, at[tried], low[tried], high[tried], sets[tried])
        halves = bisect(low, high, worth)
        if halves is None:
            return [batch[i] for i in at.tolist()]
        left, right, axis, middle = halves
        known = over.known_within(at.repeat(2), torch.cat([low, right]), torch.cat([left, high]))
        parts = []
        for n, i in enumerate(at.tolist()):
            made = {"float32": in_float32[n], "by_trial": not by_trial[n], "unstable": batch[i].unstable}
            pair = (
                DensePart(low[n], left[n], known=known[n], **made),
                DensePart(right[n], high[n], known=known[len(at) + n], **made),
            )
            parts.append(replace(batch[i], known=None, bisection=(axis[n], middle[n]), halves=pair))
        return parts

    def _by_trial(self, over: DenseBounds | PairBounds, at: Tensor, low: Tensor, high: Tensor, sets: Tensor) -> Tensor:
        """Say how little of the nearest unsafe set would be left open, with each free input bisected."""
        worth = torch.full_like(low, -torch.inf)
        nearest = sets.argmin(1)
        for number in nearest.unique().tolist():
            which = (nearest == number).nonzero().squeeze(1)
            of_set = self.rows.owner == number
            estimates = over.after_bisections(at[which], low[which], high[which], self.rows.weights[of_set], self.free)
            missed = (estimates - self.rows.bounds[of_set]).amax(3).clamp(max=0).sum(2)
            worth[which.unsqueeze(1), torch.tensor(self.free)] = missed
        return torch.where(torch.isnan(worth), -torch.inf, worth)

    def order(self, bound: float, number: int) -> tuple[float, int]:
        """Take the least bound first, for counterexamples; what was made last, where too much would be kept."""
        self.open += 1
        return best_first(bound, number) if self.open < self.most_open else (-torch.inf, -number)

    def fallback(self, batch: Sequence[DensePart], bounded: int) -> Bounds[DensePart] | None:
        """Prove boxes one by one by splitting signs, while they are few and large."""
        if self.by_relus is None or bounded <= FALLBACK_FROM:
            return None
        values, parts, met = [-torch.inf] * len(batch), list(batch), None
        for i, part in enumerate(batch):
            if met is not None or self.by_relus.until.is_over():
                break
            values[i], parts[i], met = self._alone(part, self.by_relus)
        self.open -= sum(value > 0 for value in values)
        return Bounds(torch.tensor(values, dtype=torch.float64), parts, met)

    def _alone(self, part: DensePart, by_relus: DenseFallback) -> tuple[float, DensePart, Tensor | None]:
        """Prove what is left of a box by splitting signs; an input if one is a counterexample."""
        known = [half.known for half in part.halves if half.known is not None]
        if not known:
            return -torch.inf, part, None
        low, high = part.halves[0].low, part.halves[-1].high
        hull = torch.stack([torch.minimum(known[0][0], known[-1][0]), torch.maximum(known[0][1], known[-1][1])])
        unstable = int(((hull[0] < 0) & (hull[1] > 0)).sum())
        if unstable > part.unstable:
            return -torch.inf, part, None
        met: list[Tensor] = []

        def replay(x: Tensor) -> Tensor | None:
            found = self.replay(x)
            met.extend([] if found is None else [found.reshape(1, -1)])
            return found

        proven = by_relus.prove(low, high, hull, replay)
        if proven is None:
            halves = tuple(replace(half, unstable=AGAIN * unstable) for half in part.halves)
            return -torch.inf, replace(part, halves=halves), met[0] if met else None
        self.alone += proven.subproblems
        return proven.margin, replace(part, halves=(), proven=proven), None

    def branch(self, batch: Sequence[DensePart]) -> Sequence[tuple[Bisection, Sequence[DensePart]]] | None:
        self.open -= len(batch)
        branched = [(part.bisection, part.halves) for part in batch if part.bisection is not None]
        return branched if len(branched) == len(batch) else None


@dataclass(frozen=True, eq=False)
class DenseResult:
    """What was found, the margin of all that is asked, and in how many subproblems."""

    result: Result[DensePart, Bisection]
    margin: float
    subproblems: int
    by_relus: DenseFallback | None = None

    def holds_in_float32(self) -> bool:
        """Whether the proof holds for float32 too."""
        leaves = self.result.leaves
        if not all(leaf.float32 for leaf in leaves):
            return False
        proven = [leaf.proven for leaf in leaves if leaf.proven is not None]
        return self.by_relus is None or all(self.by_relus.holds_in_float32(box) for box in proven)


def prove_dense(
    network: DenseNetwork | DensePair, query: Query, seconds: float | Deadline, replay: Replay, float32: bool = True,
    most_subproblems: int = 10**9, with_relus: tuple[Graph, Query] | None = None,
) -> DenseResult:  # fmt: skip
    """Bisect boxes until each is proven or one holds a counterexample.

    The input to bisect along is chosen by slope times width and by trial in turn: each alone is at times a hundred
    times worse than the other. Of a pair of networks what is asked is about the outputs of the first and the
    differences. `with_relus`: the same asked of a graph that writes conjunctions as ReLUs; these are split in boxes
    that have few of them.

    Property: sound. With `float32` also for float32, where its errors are small beside what bounds lack.
    """
    deadline = Deadline.of(seconds)
    whole = DensePart(torch.from_numpy(query.inputs.lower), torch.from_numpy(query.inputs.upper), float32)
    by_relus = None
    if with_relus is not None and isinstance(network, DenseNetwork):
        by_relus = DenseFallback(*with_relus, network, deadline)
    problem = _DenseSplitting(network, OutputConstraints(query), (whole,), replay, by_relus)
    most = min(BATCH_BOXES, BATCH_NUMBERS // (network.hidden * query.inputs.size) + 1)
    size = Paced(SHARE * deadline.work_left, deadline.clock.work, most)
    result = branch_and_bound(problem, replay, deadline.is_over, size, problem.order, most_subproblems)
    margin = min(result.margin, problem.cut_margin)
    return DenseResult(result, margin, result.subproblems + problem.alone, by_relus)
