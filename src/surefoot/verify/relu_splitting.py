"""ReLU splitting: branch on the signs of ReLUs until every subproblem is proven. Complete, given time.

A subproblem is a list of decided signs. Its bound is the alpha-CROWN of `reach.alpha_crown`, with a multiplier for each
decided sign (Wang et al. 2021, beta-CROWN); what is proven is proven by one last rounded pass in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

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
from surefoot.verify.branch_and_bound import Bounds, Problem, Replay, Result, branch_and_bound, steady

ITERATIONS = 20
BATCH_SUBPROBLEMS = 64
CANDIDATES = 12  # ReLUs that are tried before one is chosen
Neuron: TypeAlias = tuple[int, int]  # a ReLU of the graph, and which of its values


@dataclass(frozen=True, eq=False)
class Subproblem:
    """Some of the region: an unsafe set, the signs decided so far, and where its ascent may start."""

    unsafe: int
    signs: tuple[tuple[int, int, int], ...] = ()  # (ReLU, which of its values, 1 or -1)
    choice: Choice = field(default_factory=Choice)  # (1, *shape) each
    options: tuple[Neuron, ...] = ()  # worth splitting
    row: int = 0  # of the unsafe set, that is shown to be missed


def prove_by_relu_splitting(
    relaxation: Relaxation,
    query: Query,
    seconds: float | Deadline,
    replay: Replay,
    most_subproblems: int = 10**9,
) -> Result[Subproblem, Neuron]:
    """Prove a query by splitting, or meet an input for which `replay` finds a counterexample (None: it is none)."""
    problem = _ReluSplitting(relaxation, query)
    return branch_and_bound(
        problem, replay, Deadline.of(seconds).is_over, steady(BATCH_SUBPROBLEMS), most_subproblems=most_subproblems
    )


def bound_again(relaxation: Relaxation, query: Query, subproblems: Sequence[Subproblem]) -> float:
    """Bound subproblems with the slopes and multipliers they carry, over another relaxation; return the least."""
    problem = _ReluSplitting(relaxation, query)
    bounds = torch.cat(
        [
            problem.rounded(subproblems[i : i + BATCH_SUBPROBLEMS])[0]
            for i in range(0, len(subproblems), BATCH_SUBPROBLEMS)
        ]
    )
    return float(bounds.min())  # not a number, if one is not


def split_leaves(subproblems: Sequence[Subproblem], unsafe: int) -> list[SplitLeaf]:
    """Write subproblems as a certificate has them."""

    def flat(x: Tensor) -> np.ndarray:
        return x.flatten().numpy()

    return [
        SplitLeaf(
            unsafe,
            subproblem.row,
            subproblem.signs,
            {at: flat(x) for at, x in subproblem.choice.slopes.items()},
            {at: flat(x) for at, x in subproblem.choice.multipliers.items() if bool(x.any())},
        )
        for subproblem in subproblems
    ]


def kept_slopes(tightened: Tightened) -> dict[int, tuple[np.ndarray, dict[int, np.ndarray]]]:
    """Write the slopes that boxes were tightened with as a certificate has them."""
    return {
        at: (which.numpy(), {place: x.numpy() for place, x in slopes.items()})
        for at, (which, slopes) in tightened.items()
    }


class _ReluSplitting(Problem[Subproblem, Neuron]):
    def __init__(self, relaxation: Relaxation, query: Query) -> None:
        self.double = relaxation
        self.single = relaxation.to(torch.float32)
        self.out = len(relaxation.graph.nodes) - 1
        self.places = [at for at in relaxation.relus() if bool(relaxation.unstable(at).any())]
        self.chosen = self._best_rows(query)
        pairs = list(zip(query.unsafe, self.chosen, strict=True))
        self.rows = torch.stack([torch.from_numpy(unsafe.weights)[row] for unsafe, row in pairs])
        self.offsets = torch.tensor([float(unsafe.bounds[row]) for unsafe, row in pairs], dtype=torch.float64)

    def _best_rows(self, query: Query) -> list[int]:
        """Of each unsafe set the row that is farthest from being met; an unsafe set is missed if one row is."""
        chosen = []
        for unsafe in query.unsafe:
            w = torch.from_numpy(unsafe.weights)
            bounds = lower_bounds(self.double, self.out, w.unsqueeze(0))[0] - torch.from_numpy(unsafe.bounds)
            chosen.append(int(bounds.argmax()))
        return chosen

    def roots(self) -> Sequence[Subproblem]:
        return [Subproblem(unsafe, row=row) for unsafe, row in enumerate(self.chosen)]

    def bound(self, batch: Sequence[Subproblem]) -> Bounds[Subproblem]:
        which = torch.tensor([subproblem.unsafe for subproblem in batch])
        rows, offsets = self.rows[which].unsqueeze(1), self.offsets[which]
        single, signs = self._boxes(batch, self.single)
        # the offset is part of what must be positive
        choice, _best = optimize_slopes(
            single,
            self.out,
            rows.float(),
            self._start(batch, single, signs),
            signs,
            ITERATIONS,
            float(offsets.max()) + 1e-4 if bool((offsets == offsets[0]).all()) else float("inf"),
        )
        now = [
            replace(subproblem, choice=Choice(*({at: x[i] for at, x in p.items()} for p in choice.parts)))
            for i, subproblem in enumerate(batch)
        ]
        bounds, double, trace = self.rounded(now)
        corner = None
        if trace.input is not None:
            box = self.double.boxes[0]
            corner = torch.where(trace.input[:, 0] > 0, box.lower, box.upper)
        return Bounds(bounds, self._with_options(now, double, trace), corner)

    def branch(self, batch: Sequence[Subproblem]) -> Sequence[tuple[Neuron, Sequence[Subproblem]]] | None:
        """Branch on a ReLU of the options; where there are none all signs are decided, and ascent cannot prove it."""
        return self._by_trial(batch) if all(subproblem.options for subproblem in batch) else None

    def _boxes(self, subproblems: Sequence[Subproblem], relaxation: Relaxation) -> tuple[Relaxation, dict[int, Tensor]]:
        """Apply the decided signs to the boxes; return them as a mask too."""
        boxes = list(relaxation.boxes)
        signs: dict[int, Tensor] = {}
        dtype = boxes[0].lower.dtype
        for at in self.places:
            entering = relaxation.graph.nodes[at].inputs[0]
            regions, which, sign = [], [], []
            for region, subproblem in enumerate(subproblems):
                for place, value, s in subproblem.signs:
                    if place == at:
                        regions.append(region)
                        which.append(value)
                        sign.append(float(s))
            shape = relaxation.graph.nodes[at].shape
            mask = torch.zeros(len(subproblems), int(np.prod(shape)), dtype=dtype)
            mask[regions, which] = torch.tensor(sign, dtype=dtype)
            mask = mask.reshape(len(subproblems), *shape)
            signs[at] = mask.unsqueeze(1)
            box = boxes[entering]
            boxes[entering] = Box(
                torch.where(mask > 0, box.lower.clamp(min=0), box.lower),
                torch.where(mask < 0, box.upper.clamp(max=0), box.upper),
            )
        return relaxation.over(boxes), signs

    def _start(self, subproblems: Sequence[Subproblem], boxes: Relaxation, signs: dict[int, Tensor]) -> Choice:
        default = default_choice(boxes, self.out, 1)

        def start(which: int, at: int) -> Tensor:
            other = default.parts[which][at]
            choices = [subproblem.choice.parts[which].get(at) for subproblem in subproblems]
            return torch.stack(
                [
                    other[min(i, len(other) - 1)] if x is None else x.to(other.dtype).clamp(0, 1)
                    for i, x in enumerate(choices)
                ]
            )

        def multiplier(at: int, mask: Tensor) -> Tensor:  # a half starts with those of the whole
            none = torch.zeros_like(mask[0])
            multipliers = [subproblem.choice.multipliers.get(at, none).to(mask.dtype) for subproblem in subproblems]
            return mask * (mask * torch.stack(multipliers)).clamp(min=0)

        return Choice(
            {at: start(0, at) for at in self.places},
            {at: multiplier(at, mask) for at, mask in signs.items() if bool(mask.any())},
            {at: start(2, at) for at in self.places if at in default.upper_slopes},
        )

    def rounded(self, subproblems: Sequence[Subproblem]) -> tuple[Tensor, Relaxation, Trace]:
        """Bound subproblems in float64, rounded outward, with the slopes and multipliers that they carry: the proof."""
        which = torch.tensor([subproblem.unsafe for subproblem in subproblems])
        rows, offsets = self.rows[which].unsqueeze(1), self.offsets[which]
        double, signs = self._boxes(subproblems, self.double)
        choice = self._start(subproblems, double, signs).to(torch.float64)
        trace = Trace()
        bounds = lower_bounds(double, self.out, rows, choice, trace)[:, 0]
        return difference_below(bounds, offsets), double, trace

    def _with_options(self, subproblems: list[Subproblem], double: Relaxation, trace: Trace) -> list[Subproblem]:
        """Remember for each subproblem which ReLUs lose most: coefficient times the triangle's height."""
        if not self.places:  # linear over the whole region: nothing to split
            return subproblems
        scores = []
        for at in self.places:
            x = double.boxes[double.graph.nodes[at].inputs[0]]
            unstable = (x.lower < 0) & (x.upper > 0)
            height = torch.where(unstable, -x.upper * x.lower / (x.upper - x.lower).clamp(min=1e-300), 0.0)
            a = trace.entering.get(at)
            if a is None:
                a = torch.zeros(len(subproblems), 1, *x.lower.shape[1:], dtype=height.dtype)
            a = a[:, 0]
            loss = (a.clamp(max=0).abs() + 0.3 * a.clamp(min=0)) * height
            loss = torch.where(unstable, loss + 1e-12 * height, 0.0)
            scores.append(loss.flatten(1).expand(len(subproblems), -1))
        table = torch.cat(scores, 1)
        sizes = [s.shape[1] for s in scores]
        count = min(CANDIDATES, table.shape[1])
        top = table.topk(count, 1)
        starts = np.cumsum([0, *sizes])
        for i, subproblem in enumerate(subproblems):
            options = []
            for value, flat in zip(top.values[i].tolist(), top.indices[i].tolist(), strict=True):
                if value > 0:
                    layer = int(np.searchsorted(starts, flat, side="right")) - 1
                    options.append((self.places[layer], int(flat - starts[layer])))
            subproblems[i] = replace(subproblem, options=tuple(options))
        return subproblems

    def _by_trial(self, subproblems: Sequence[Subproblem]) -> list[tuple[Neuron, list[Subproblem]]]:
        """Of each subproblem's options take the one whose worse half is bounded best without ascent."""
        owners = [i for i, subproblem in enumerate(subproblems) for _ in subproblem.options]
        trial = [
            [replace(subproblem, signs=(*subproblem.signs, (*neuron, sign)), options=()) for sign in (1, -1)]
            for subproblem in subproblems
            for neuron in subproblem.options
        ]
        quick = self._quick([half for halves in trial for half in halves]).double().reshape(-1, 2)
        worst, other = quick.amin(1), quick.amax(1)
        worth = (worst + 0.1 * other.clamp(max=0)).tolist()
        best: dict[int, int] = {}
        for j, i in enumerate(owners):
            if i not in best or worth[j] > worth[best[i]]:
                best[i] = j
        return [(trial[j][0].signs[-1][:2], trial[j]) for j in best.values()]

    def _quick(self, subproblems: list[Subproblem]) -> Tensor:
        margins = []
        for begin in range(0, len(subproblems), 4 * BATCH_SUBPROBLEMS):
            chunk = subproblems[begin : begin + 4 * BATCH_SUBPROBLEMS]
            tick()
            which = torch.tensor([subproblem.unsafe for subproblem in chunk])
            single, signs = self._boxes(chunk, self.single)
            start = replace(self._start(chunk, single, signs), multipliers={})
            rows = self.rows[which].unsqueeze(1).float()
            margins.append(
                lower_bounds(single, self.out, rows, start, rounded=False)[:, 0] - self.offsets[which].float()
            )
        return torch.cat(margins)
