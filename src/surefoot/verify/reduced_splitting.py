"""ReLU splitting over the network reduced to its unstable ReLUs: all of a batch in a few matrix products."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.reach.dual_ascent import Bound, ascend, bound, multipliers_of_parent
from surefoot.reach.reduced import ReducedNetwork, Rows
from surefoot.reach.relaxation import Relaxation
from surefoot.reach.unstable import Dual
from surefoot.verify.branch_and_bound import Bounds, Problem
from surefoot.verify.relu_subproblems import Neuron, Packed, Sets, Subproblem, rounded

CANDIDATES = 6  # ReLUs that are tried before one is chosen
POSITIVE = 0.3  # what a positive coefficient counts, beside a negative one of the same size
BATCH_TRIALS = 256
ENOUGH = 1e-4  # of a bound in float32, so that it is positive in float64 too


class ReducedSplitting(Problem[Subproblem, Neuron]):
    """Bounds and branches over the reduced network; what is proven is proven over the graph."""

    def __init__(self, relaxation: Relaxation, sets: Sets, network: ReducedNetwork, iterations: int) -> None:
        self.double, self.sets, self.network, self.iterations = relaxation, sets, network, iterations
        rows = network.rows(sets.out, sets.rows.float())
        self.rows = Rows(rows.matrix, rows.bias - sets.offsets.float())
        self.unstable = network.unstable

    def roots(self) -> Sequence[Subproblem]:
        """Return a subproblem for each unsafe set."""
        slopes = self.network.default(1)
        start = Packed(self.unstable, Dual(torch.zeros_like(slopes), slopes))
        return [Subproblem(unsafe, chosen=start, row=row) for unsafe, row in enumerate(self.sets.chosen)]

    def bound(self, batch: Sequence[Subproblem]) -> Bounds[Subproblem]:
        """Bound subproblems by ascent, and once more in float64, over the graph."""
        rows = self.rows.of(torch.tensor([subproblem.unsafe for subproblem in batch]))
        dual, _ = ascend(self.network, rows, stacked_duals(batch), self.iterations, ENOUGH)
        found = bound(self.network, rows, dual)
        now = [
            replace(subproblem, chosen=Packed(self.unstable, dual.of(slice(i, i + 1))))
            for i, subproblem in enumerate(batch)
        ]
        return Bounds(rounded(self.double, self.sets, now)[0], now, self._corners(found.input))

    def _corners(self, a: Float[Tensor, "b d"]) -> Tensor:
        box, free = self.double.boxes[0], self.network.free
        corner = box.lower.flatten(1).repeat(len(a), 1)
        corner[:, free] = torch.where(a > 0, box.lower.flatten()[free], box.upper.flatten()[free])
        return corner.reshape(-1, *box.lower.shape[1:])

    def branch(self, batch: Sequence[Subproblem]) -> Sequence[tuple[Neuron, Sequence[Subproblem]]] | None:
        """Of each one's candidates take the ReLU whose worse half is bounded best without ascent."""
        rows = self.rows.of(torch.tensor([subproblem.unsafe for subproblem in batch]))
        dual = stacked_duals(batch)
        parents, which, both = best_halves(self.network, rows, dual, bound(self.network, rows, dual), CANDIDATES)
        if len(parents) < len(batch):
            return None  # all signs are decided, and ascent cannot prove it
        branched: list[tuple[Neuron, Sequence[Subproblem]]] = []
        for i, subproblem in enumerate(batch):
            neuron = self.unstable.neuron(int(which[i]))
            branched.append((neuron, [
                replace(
                    subproblem,
                    signs=(*subproblem.signs, (*neuron, sign)),
                    chosen=Packed(self.unstable, both.of(slice(at, at + 1))),
                )
                for sign, at in ((1, i), (-1, len(batch) + i))
            ]))  # fmt: skip
        return branched


def stacked_duals(batch: Sequence[Subproblem]) -> Dual:
    """Stack the dual variables of subproblems."""
    duals = [subproblem.chosen.dual for subproblem in batch if isinstance(subproblem.chosen, Packed)]
    return Dual(torch.cat([dual.signs for dual in duals]), torch.cat([dual.values for dual in duals]))


def halves(whole: Dual, which: Int[Tensor, " b"], coefficients: Float[Tensor, " b"]) -> tuple[Dual, Dual]:
    """Decide an undecided ReLU of each region, both ways; multipliers start where they relax as the slope did."""
    at = torch.arange(len(which))
    slope, made = whole.values[at, which], []
    for sign in (1.0, -1.0):
        signs, values = whole.signs.clone(), whole.values.clone()
        signs[at, which] = sign
        values[at, which] = multipliers_of_parent(coefficients, slope, signs[at, which])
        made.append(Dual(signs, values))
    return made[0], made[1]


def best_halves(
    network: ReducedNetwork, rows: Rows, dual: Dual, found: Bound, candidates: int
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Dual]:
    """Branch each region on one of the undecided ReLUs that lose most: that whose worse half is bounded best.

    Halves are bounded without multipliers and ascent. Returns which regions have an undecided ReLU, which it is, and
    the halves: all with the value >= 0, then all with the value <= 0.
    """
    top = influence(network, dual, found).topk(min(candidates, network.count), 1)
    owners, rank = (top.values > 0).nonzero(as_tuple=True)
    which = top.indices[owners, rank]
    trial = halves(dual.of(owners), which, found.entering[owners, which])
    value = torch.full_like(top.values, -torch.inf)
    value[owners, rank] = _worth(network, rows.of(owners), trial)
    parents = (top.values > 0).any(1).nonzero().squeeze(1)
    if not len(parents):
        return parents, parents, dual.of(parents)
    place = torch.full(value.shape, -1, dtype=torch.long)
    place[owners, rank] = torch.arange(len(owners))
    best = place[parents, value[parents].argmax(1)]
    both = Dual(*(torch.cat([getattr(half, name)[best] for half in trial]) for name in ("signs", "values")))
    return parents, which[best], both


def _worth(network: ReducedNetwork, rows: Rows, children: tuple[Dual, Dual]) -> Float[Tensor, " m"]:
    margins = []
    for half in children:
        plain = Dual(half.signs, torch.where(half.signs == 0, half.values, 0.0))
        parts = [rows.bias[:0]]
        for some in torch.arange(len(rows.bias)).split(BATCH_TRIALS):
            tick()
            parts.append(bound(network, rows.of(some), plain.of(some)).values)
        margins.append(torch.cat(parts))
    quick = torch.stack(margins, 1)
    return quick.amin(1) + 0.1 * quick.amax(1).clamp(max=0)


def influence(network: ReducedNetwork, dual: Dual, found: Bound) -> Float[Tensor, "b n"]:
    """Score what undecided ReLUs lose: coefficient times the triangle's height."""
    if not network.layers:
        return found.entering
    low, high = (torch.cat([getattr(layer, end) for layer in network.layers]) for end in ("low", "high"))
    height = -low * high / (high - low)
    a = found.entering
    return torch.where(dual.signs == 0, (a.clamp(max=0).abs() + POSITIVE * a.clamp(min=0) + 1e-12) * height, 0.0)
