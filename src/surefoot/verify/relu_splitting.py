"""Split on the signs of ReLUs until every part is proven: complete, given time.

A part is a list of decided signs. Its bound is the alpha-CROWN of `reach.alpha_crown`, with a multiplier for each
decided sign (Wang et al. 2021, beta-CROWN); what is proven is proven by one last rounded pass in float64.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import Deadline, tick
from surefoot.core.rounding import difference_below
from surefoot.proof.certificate import SplitLeaf
from surefoot.reach.alpha_crown import Tightened, default_choice, optimize_slopes
from surefoot.reach.crown import Choice, Relaxation, Trace, lower_bounds
from surefoot.reach.ibp import Box
from surefoot.spec.query import Query

ITERATIONS = 20
AT_ONCE = 64
CANDIDATES = 12  # ReLUs that are tried before one is chosen


@dataclass(frozen=True, eq=False)
class Subproblem:
    """Some of the region: an unsafe set, the signs decided so far, and where its ascent may start."""

    unsafe: int
    signs: tuple[tuple[int, int, int], ...] = ()  # (ReLU, which of its values, 1 or -1)
    choice: Choice = field(default_factory=Choice)  # (1, *shape) each
    bound: float = -np.inf
    options: tuple[tuple[int, int], ...] = ()  # ReLUs worth splitting


@dataclass(frozen=True, eq=False)
class Outcome:
    """Whether all parts were proven; the least bound; a candidate input if one was met; how many parts there were."""

    proven: bool
    margin: float
    candidate: Tensor | None
    parts: int
    leaves: tuple[Subproblem, ...] = ()
    rows: tuple[int, ...] = ()  # of each unsafe set, the row that was shown to be missed


def prove_by_relu_splitting(
    relaxation: Relaxation,
    query: Query,
    seconds: float | Deadline,
    replay: Callable[[Tensor], Tensor | None],
    most_parts: int = 10**9,
    unsafe: Sequence[int] | None = None,
) -> Outcome:
    """Prove a query by splitting, or meet an input for which `replay` finds a counterexample (None: it is none)."""
    return _Search(relaxation, query, replay).run(Deadline.of(seconds), most_parts, unsafe)


def bound_again(relaxation: Relaxation, query: Query, parts: Sequence[Subproblem]) -> float:
    """Bound parts with the slopes and multipliers that they carry, over another relaxation; return the least bound."""
    search = _Search(relaxation, query, lambda _: None)
    found = torch.cat([search.rounded(parts[i : i + AT_ONCE])[0] for i in range(0, len(parts), AT_ONCE)])
    return float(found.min())  # not a number, if one is not


def split_leaves(parts: Sequence[Subproblem], unsafe: int, row: int = 0) -> list[SplitLeaf]:
    """Write parts as a certificate has them."""

    def flat(x: Tensor) -> np.ndarray:
        return x.flatten().numpy()

    return [
        SplitLeaf(
            unsafe,
            row,
            part.signs,
            {at: flat(x) for at, x in part.choice.slopes.items()},
            {at: flat(x) for at, x in part.choice.multipliers.items() if bool(x.any())},
        )
        for part in parts
    ]


def kept_slopes(tightened: Tightened) -> dict[int, tuple[np.ndarray, dict[int, np.ndarray]]]:
    """Write the slopes that boxes were tightened with as a certificate has them."""
    return {
        at: (which.numpy(), {place: x.numpy() for place, x in slopes.items()})
        for at, (which, slopes) in tightened.items()
    }


class _Search:
    def __init__(self, relaxation: Relaxation, query: Query, replay: Callable[[Tensor], Tensor | None]) -> None:
        self.double = relaxation
        self.single = relaxation.to(torch.float32)
        self.out = len(relaxation.graph.nodes) - 1
        self.places = [at for at in relaxation.relus() if bool(relaxation.unstable(at).any())]
        self.query = query
        self.replay = replay
        self.rows, self.offsets = self._best_rows()
        self.parts = 0

    def _best_rows(self) -> tuple[Tensor, Tensor]:
        """Of each unsafe set the row that is farthest from being met; an unsafe set is missed if one row is."""
        rows, offsets = [], []
        self.chosen: tuple[int, ...] = ()
        for unsafe in self.query.unsafe:
            w = torch.from_numpy(unsafe.weights)
            bounds = lower_bounds(self.double, self.out, w.unsqueeze(0))[0] - torch.from_numpy(unsafe.bounds)
            best = int(bounds.argmax())
            self.chosen += (best,)
            rows.append(w[best])
            offsets.append(float(unsafe.bounds[best]))
        return torch.stack(rows), torch.tensor(offsets, dtype=torch.float64)

    def run(self, deadline: Deadline, most_parts: int, unsafe: Sequence[int] | None) -> Outcome:
        number = itertools.count()
        wanted = range(len(self.query.unsafe)) if unsafe is None else unsafe
        todo: list[tuple[float, int, Subproblem]] = []
        leaves: list[Subproblem] = []
        fresh = [Subproblem(i) for i in wanted]
        worst_leaf = np.inf
        while fresh or todo:
            if fresh:
                bounded, found = self._bound(fresh)
                if found is not None:
                    return Outcome(False, min(b.bound for b in bounded), found, self.parts)
                for part in bounded:
                    if part.bound > 0:
                        worst_leaf = min(worst_leaf, part.bound)
                        leaves.append(part)
                    else:
                        heapq.heappush(todo, (part.bound, next(number), part))
                fresh = []
                continue
            if deadline.is_over() or self.parts > most_parts:
                return Outcome(False, todo[0][0], None, self.parts)
            chosen = [heapq.heappop(todo)[2] for _ in range(min(AT_ONCE // 2, len(todo)))]
            if not all(part.options for part in chosen):  # all signs decided, and not proven: ascent cannot do it
                return Outcome(False, chosen[0].bound, None, self.parts)
            fresh = self._split(chosen)
        return Outcome(True, float(worst_leaf), None, self.parts, tuple(leaves), self.chosen)

    # a batch of parts

    def _boxes(self, parts: Sequence[Subproblem], relaxation: Relaxation) -> tuple[Relaxation, dict[int, Tensor]]:
        """Apply the decided signs to the boxes; return them as a mask too."""
        boxes = list(relaxation.boxes)
        signs: dict[int, Tensor] = {}
        dtype = boxes[0].lower.dtype
        for at in self.places:
            entering = relaxation.graph.nodes[at].inputs[0]
            regions, which, sign = [], [], []
            for region, part in enumerate(parts):
                for place, value, s in part.signs:
                    if place == at:
                        regions.append(region)
                        which.append(value)
                        sign.append(float(s))
            shape = relaxation.graph.nodes[at].shape
            mask = torch.zeros(len(parts), int(np.prod(shape)), dtype=dtype)
            mask[regions, which] = torch.tensor(sign, dtype=dtype)
            mask = mask.reshape(len(parts), *shape)
            signs[at] = mask.unsqueeze(1)
            box = boxes[entering]
            boxes[entering] = Box(
                torch.where(mask > 0, box.lower.clamp(min=0), box.lower),
                torch.where(mask < 0, box.upper.clamp(max=0), box.upper),
            )
        return relaxation.over(boxes), signs

    def _start(self, parts: Sequence[Subproblem], boxes: Relaxation, signs: dict[int, Tensor]) -> Choice:
        default = default_choice(boxes, self.out, 1)

        def own(which: int, at: int) -> Tensor:
            other = default.parts[which][at]
            found = [part.choice.parts[which].get(at) for part in parts]
            return torch.stack(
                [
                    other[min(i, len(other) - 1)] if x is None else x.to(other.dtype).clamp(0, 1)
                    for i, x in enumerate(found)
                ]
            )

        def multiplier(at: int, mask: Tensor) -> Tensor:  # a half starts with those of the whole
            none = torch.zeros_like(mask[0])
            found = [part.choice.multipliers.get(at, none).to(mask.dtype) for part in parts]
            return mask * (mask * torch.stack(found)).clamp(min=0)

        return Choice(
            {at: own(0, at) for at in self.places},
            {at: multiplier(at, mask) for at, mask in signs.items() if bool(mask.any())},
            {at: own(2, at) for at in self.places if at in default.upper_slopes},
        )

    def _bound(self, parts: list[Subproblem]) -> tuple[list[Subproblem], Tensor | None]:
        done: list[Subproblem] = []
        for begin in range(0, len(parts), AT_ONCE):
            some = parts[begin : begin + AT_ONCE]
            self.parts += len(some)
            which = torch.tensor([part.unsafe for part in some])
            rows, offsets = self.rows[which].unsqueeze(1), self.offsets[which]
            single, signs = self._boxes(some, self.single)
            # the offset is part of what must be positive
            choice, _best = optimize_slopes(
                single,
                self.out,
                rows.float(),
                self._start(some, single, signs),
                signs,
                ITERATIONS,
                float(offsets.max()) + 1e-4 if bool((offsets == offsets[0]).all()) else float("inf"),
            )
            now = [
                replace(part, choice=Choice(*({at: x[i] for at, x in p.items()} for p in choice.parts)))
                for i, part in enumerate(some)
            ]
            bounds, double, trace = self.rounded(now)
            done += [replace(part, bound=float(bounds[i])) for i, part in enumerate(now)]
            if trace.input is not None:
                box = self.double.boxes[0]
                corner = torch.where(trace.input[:, 0] > 0, box.lower, box.upper)
                found = self.replay(corner)
                if found is not None:
                    return done, found
            done[-len(some) :] = self._scored(done[-len(some) :], double, trace)
        return done, None

    def rounded(self, parts: Sequence[Subproblem]) -> tuple[Tensor, Relaxation, Trace]:
        """Bound parts in float64, rounded outward, with the slopes and multipliers that they carry: the proof."""
        which = torch.tensor([part.unsafe for part in parts])
        rows, offsets = self.rows[which].unsqueeze(1), self.offsets[which]
        double, signs = self._boxes(parts, self.double)
        choice = self._start(parts, double, signs).to(torch.float64)
        trace = Trace()
        bounds = lower_bounds(double, self.out, rows, choice, trace)[:, 0]
        return difference_below(bounds, offsets), double, trace

    def _scored(self, parts: list[Subproblem], double: Relaxation, trace: Trace) -> list[Subproblem]:
        """Remember for each part which ReLUs lose most: coefficient times the triangle's height."""
        if not self.places:  # linear over the whole region: nothing to split
            return parts
        scores = []
        for at in self.places:
            x = double.boxes[double.graph.nodes[at].inputs[0]]
            unstable = (x.lower < 0) & (x.upper > 0)
            height = torch.where(unstable, -x.upper * x.lower / (x.upper - x.lower).clamp(min=1e-300), 0.0)
            a = trace.entering.get(at)
            if a is None:
                a = torch.zeros(len(parts), 1, *x.lower.shape[1:], dtype=height.dtype)
            a = a[:, 0]
            loss = (a.clamp(max=0).abs() + 0.3 * a.clamp(min=0)) * height
            loss = torch.where(unstable, loss + 1e-12 * height, 0.0)
            scores.append(loss.flatten(1).expand(len(parts), -1))
        table = torch.cat(scores, 1)
        sizes = [s.shape[1] for s in scores]
        count = min(CANDIDATES, table.shape[1])
        top = table.topk(count, 1)
        starts = np.cumsum([0, *sizes])
        for i, part in enumerate(parts):
            options = []
            for value, flat in zip(top.values[i].tolist(), top.indices[i].tolist(), strict=True):
                if value > 0:
                    layer = int(np.searchsorted(starts, flat, side="right")) - 1
                    options.append((self.places[layer], int(flat - starts[layer])))
            parts[i] = replace(part, options=tuple(options))
        return parts

    def _split(self, parts: list[Subproblem]) -> list[Subproblem]:
        """Of each part's options take the one whose worse half is bounded best without ascent; give both halves."""
        trial: list[Subproblem] = []
        owners: list[tuple[int, tuple[int, int]]] = []
        for i, part in enumerate(parts):
            for place, value in part.options:
                owners.append((i, (place, value)))
                for sign in (1, -1):
                    trial.append(replace(part, signs=(*part.signs, (place, value, sign))))
        quick = self._quick(trial)
        best: dict[int, tuple[float, int]] = {}
        for j, (i, _) in enumerate(owners):
            a, b = sorted((float(quick[2 * j]), float(quick[2 * j + 1])))
            worth = a + 0.1 * min(b, 0.0)
            if i not in best or worth > best[i][0]:
                best[i] = (worth, j)
        return [trial[2 * j + k] for _, j in best.values() for k in (0, 1)]

    def _quick(self, parts: list[Subproblem]) -> Tensor:
        found = []
        for begin in range(0, len(parts), 4 * AT_ONCE):
            some = parts[begin : begin + 4 * AT_ONCE]
            tick()
            which = torch.tensor([part.unsafe for part in some])
            single, signs = self._boxes(some, self.single)
            start = replace(self._start(some, single, signs), multipliers={})
            rows = self.rows[which].unsqueeze(1).float()
            found.append(lower_bounds(single, self.out, rows, start, rounded=False)[:, 0] - self.offsets[which].float())
        return torch.cat(found)
