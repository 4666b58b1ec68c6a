"""ReLU splitting: branch on the signs of ReLUs until every subproblem is proven. Complete, given time.

Of what enters a smooth function signs are decided too (Shi et al. 2025, GenBaB, with 0 for where to split), but once
each: with functions it is not complete.

A subproblem is a list of decided signs. Its bound is that of CROWN, with slopes and a multiplier for each decided sign
found by ascent (Wang et al. 2021, beta-CROWN): over the network reduced to its unstable ReLUs where that can be
(`verify.reduced_splitting`), else over the graph. What is proven is proven by one last rounded pass in float64.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import Deadline, tick
from surefoot.graph.ops import Elementwise
from surefoot.reach.alpha_crown import optimize_slopes
from surefoot.reach.crown import Trace, lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.reduced import ReducedNetwork
from surefoot.reach.relaxation import Choice, Relaxation
from surefoot.spec.query import Query
from surefoot.verify.branch_and_bound import Bounds, Problem, Replay, Result, branch_and_bound, steady
from surefoot.verify.reduced_splitting import CANDIDATES, ENOUGH, ReducedSplitting
from surefoot.verify.relu_subproblems import (
    BATCH_SUBPROBLEMS,
    Neuron,
    Sets,
    Subproblem,
    decided,
    rounded,
    stacked,
)

ITERATIONS = 10


def prove_by_relu_splitting(
    relaxation: Relaxation,
    query: Query,
    seconds: float | Deadline,
    replay: Replay,
    most_subproblems: int = 10**9,
) -> Result[Subproblem, Neuron]:
    """Prove a query by splitting, or meet an input for which `replay` finds a counterexample (None: it is none)."""
    problem = problem_of(relaxation, Sets(relaxation, query))
    return search_by_relu_splitting(problem, replay, Deadline.of(seconds), most_subproblems)


def problem_of(relaxation: Relaxation, sets: Sets) -> "GraphSplitting | ReducedSplitting":
    """Return what is to be proven, over the reduced network if the graph can be reduced."""
    reduced = ReducedNetwork.of(relaxation)
    if reduced is None:
        return GraphSplitting(relaxation, sets, ITERATIONS)
    return ReducedSplitting(relaxation, sets, reduced, ITERATIONS)


def search_by_relu_splitting(
    problem: Problem[Subproblem, Neuron], replay: Replay, until: Deadline, most_subproblems: int
) -> Result[Subproblem, Neuron]:
    """Search for the proof of a problem."""
    size = steady(BATCH_SUBPROBLEMS)
    return branch_and_bound(problem, replay, until.is_over, size, most_subproblems=most_subproblems)


class GraphSplitting(Problem[Subproblem, Neuron]):
    """Bounds and branches by passes over the whole graph, for every network."""

    def __init__(self, relaxation: Relaxation, sets: Sets, iterations: int) -> None:
        self.double, self.sets, self.iterations = relaxation, sets, iterations
        self.single = relaxation.to(torch.float32)
        bent = (*relaxation.relus(), *relaxation.functions())
        self.places = [at for at in bent if bool(relaxation.unstable(at).any())]

    def roots(self) -> Sequence[Subproblem]:
        """Return a subproblem for each unsafe set."""
        return [Subproblem(unsafe, row=row) for unsafe, row in enumerate(self.sets.chosen)]

    def bound(self, batch: Sequence[Subproblem]) -> Bounds[Subproblem]:
        """Bound subproblems by ascent, and once more in float64."""
        rows, offsets = self.sets.of(batch)
        single, signs = decided(self.single, batch)
        choice, _best = optimize_slopes(
            single,
            self.sets.out,
            rows.float(),
            stacked(single, self.sets.out, batch, signs),
            signs,
            self.iterations,
            float(offsets.max()) + ENOUGH if bool((offsets == offsets[0]).all()) else float("inf"),
        )
        now = [
            replace(subproblem, chosen=Choice(*({at: x[i] for at, x in p.items()} for p in choice.parts)))
            for i, subproblem in enumerate(batch)
        ]
        bounds, double, trace = rounded(self.double, self.sets, now)
        corner = None
        if trace.input is not None:
            box = self.double.boxes[0]
            corner = torch.where(trace.input[:, 0] > 0, box.lower, box.upper)
        return Bounds(bounds, self._with_options(now, double, trace), corner)

    def branch(self, batch: Sequence[Subproblem]) -> Sequence[tuple[Neuron, Sequence[Subproblem]]] | None:
        """Branch on a ReLU of the options; where there are none all signs are decided, and ascent cannot prove it."""
        return self._by_trial(batch) if all(subproblem.options for subproblem in batch) else None

    def _with_options(self, subproblems: list[Subproblem], double: Relaxation, trace: Trace) -> list[Subproblem]:
        """Remember for each subproblem what loses most: coefficient times the height of the triangle, or of lines."""
        if not self.places:  # linear over the whole region: nothing to split
            return subproblems
        scores = []
        for at in self.places:
            x = double.boxes[double.graph.nodes[at].inputs[0]]
            unstable = (x.lower < 0) & (x.upper > 0)
            height = _height(double, at, x, unstable)
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
            single, signs = decided(self.single, chunk)
            start = replace(stacked(single, self.sets.out, chunk, signs), multipliers={})
            rows, offsets = self.sets.of(chunk)
            bounds = lower_bounds(single, self.sets.out, rows.float(), start, rounded=False)[:, 0]
            margins.append(bounds - offsets.float())
        return torch.cat(margins)


def _height(relaxation: Relaxation, at: int, x: Box, unstable: Tensor) -> Tensor:
    """Return by how much the lines of a ReLU, or of a function, are apart where that is most, or in the middle."""
    if not isinstance(relaxation.graph.nodes[at].op, Elementwise):
        return torch.where(unstable, -x.upper * x.lower / (x.upper - x.lower).clamp(min=1e-300), 0.0)
    lines = relaxation.lines(at)
    middle = (x.lower + x.upper).unsqueeze(1) / 2
    gap = (lines.above - lines.below) * middle + lines.over - lines.under
    return torch.where(unstable & gap[:, 0].isfinite(), gap[:, 0].clamp(min=0), 0.0)
