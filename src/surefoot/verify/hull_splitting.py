"""ReLU splitting of small dense networks with convex hulls of single neurons (`reach.neuron_hulls`).

Where many inputs meet in few ReLUs triangles are loose however they are chosen; hulls are not, and each costs as many
numbers as it has weights. So few subproblems are left, each dearer. What a decided sign of the first layer says of
single inputs cuts the box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import LOST, magnitude, step_error, sum_error
from surefoot.reach.dense import DenseBounds, DenseNetwork
from surefoot.reach.neuron_hulls import HullChoice, HullProblem, ascend_by_hulls, bound_by_hulls
from surefoot.spec.query import Query
from surefoot.verify.branch_and_bound import Bounds, Problem, Replay, Result, branch_and_bound, steady

LARGEST = 2**16  # weights of hidden layers
BATCH = 32  # subproblems
STEPS_AT_ROOT, STEPS = 300, 60  # of ascent
DESCENT = 6  # steps from where a bound is reached towards a counterexample
ENOUGH = 4.0  # times what rounding takes where ascent begins: of a bound, so that it is positive when rounded


@dataclass(frozen=True, eq=False)
class HullPart:
    """A part of the region where some signs are decided, what is known of it, and the choice that bounded it best."""

    unsafe: int
    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    known: Float[Tensor, "2 M"]
    signs: Float[Tensor, " M"]
    choice: HullChoice | None = None
    at: Float[Tensor, " d"] | None = None  # where its bound is reached
    is_empty: bool = False


def may_use_hulls(network: DenseNetwork, query: Query) -> bool:
    """Whether a network is small enough, and each unsafe set is one halfspace."""
    hidden = sum(weight.numel() for weight in network.weights[:-1])
    return hidden <= LARGEST and all(len(unsafe.bounds) == 1 for unsafe in query.unsafe)


class HullSplitting(Problem[HullPart, int]):
    """Branches on the sign of the hidden value whose relaxation is worst where the bound is reached."""

    def __init__(self, network: DenseNetwork, query: Query) -> None:
        self.network = network
        self.rows = torch.cat([torch.from_numpy(unsafe.weights) for unsafe in query.unsafe])
        self.bounds = torch.cat([torch.from_numpy(unsafe.bounds) for unsafe in query.unsafe])
        self.low, self.high = torch.from_numpy(query.inputs.lower), torch.from_numpy(query.inputs.upper)

    def roots(self) -> Sequence[HullPart]:
        """Return a part for each unsafe set."""
        known = self._hidden(self.low.unsqueeze(0), self.high.unsqueeze(0), None)[0]
        signs = torch.zeros(known.shape[1], dtype=torch.float64)
        return [HullPart(unsafe, self.low, self.high, known, signs) for unsafe in range(len(self.rows))]

    def bound(self, batch: Sequence[HullPart]) -> Bounds[HullPart]:
        """Bound parts by ascent, and once more rounded; an empty part has nothing below infinity."""
        values = torch.full((len(batch),), torch.inf, dtype=torch.float64)
        parts = list(batch)
        some = [i for i, part in enumerate(batch) if not part.is_empty]
        if not some:
            return Bounds(values, parts)
        problem = self._problem([batch[i] for i in some])
        given = [batch[i].choice for i in some]
        known = [choice for choice in given if choice is not None]
        start = problem.triangles() if len(known) < len(some) else HullChoice.stacked(known)
        steps = STEPS_AT_ROOT if len(known) < len(some) else STEPS
        paid = bound_by_hulls(problem, start, rounded=False)[0] - bound_by_hulls(problem, start)[0]
        choice, _ = ascend_by_hulls(problem, start, steps, ENOUGH * float(paid.max()))
        values[some], a = bound_by_hulls(problem, choice)
        corners = torch.where(a > 0, problem.low, problem.high)
        for n, i in enumerate(some):
            parts[i] = replace(batch[i], choice=choice.of(torch.tensor([n])), at=corners[n])
        return Bounds(values, parts, torch.cat([corners, self._descended(problem, corners)]))

    def _descended(self, problem: HullProblem, x: Tensor) -> Tensor:
        """Move inputs down the gradient of their rows, within their boxes."""
        for step in range(DESCENT):
            values, active = x, []
            for weight, bias in zip(self.network.weights[:-1], self.network.biases[:-1], strict=True):
                z = values @ weight.T + bias
                active.append(z > 0)
                values = z.clamp(min=0)
            a = problem.rows @ self.network.weights[-1]
            for weight, on in zip(self.network.weights[-2::-1], reversed(active), strict=True):
                a = (a * on) @ weight
            x = x - (problem.high - problem.low) * torch.sign(a) * 0.5 ** (step + 1)
            x = torch.minimum(torch.maximum(x, problem.low), problem.high)
        return x

    def branch(self, batch: Sequence[HullPart]) -> Sequence[tuple[int, Sequence[HullPart]]] | None:
        """Decide one sign of each part."""
        which = self._worst(batch)
        if bool((which < 0).any()):
            return None
        children = [
            self._decided(part, int(at), sign) for part, at in zip(batch, which, strict=True) for sign in (1, -1)
        ]
        alive = [i for i, child in enumerate(children) if not child.is_empty]
        if alive:
            low, high = (torch.stack([getattr(children[i], end) for i in alive]) for end in ("low", "high"))
            known = self._hidden(low, high, torch.stack([children[i].known for i in alive]))
            for n, i in enumerate(alive):
                is_empty = bool((known[n, 0] > known[n, 1]).any())
                children[i] = replace(children[i], known=known[n], is_empty=is_empty)
        return [(int(at), children[2 * i : 2 * i + 2]) for i, at in enumerate(which)]

    def _problem(self, parts: Sequence[HullPart]) -> HullProblem:
        unsafe = torch.tensor([part.unsafe for part in parts])
        low, high, signs, known = (
            torch.stack([getattr(p, x) for p in parts]) for x in ("low", "high", "signs", "known")
        )
        return HullProblem(
            self.network, self.rows[unsafe], -self.bounds[unsafe], low, high, known[:, 0], known[:, 1], signs
        )

    def _hidden(self, low: Tensor, high: Tensor, known: Tensor | None) -> Tensor:
        """Bound the hidden values of boxes, (n, 2, M)."""
        over = DenseBounds(self.network, low, high, torch.zeros(len(low), dtype=torch.bool), known)
        return torch.stack([over.lower, over.upper], 1)

    def _worst(self, batch: Sequence[HullPart]) -> Tensor:
        """Return which open hidden value costs most where each part's bound is reached; -1 if none is open."""
        problem = self._problem(batch)
        x = torch.stack([part.at for part in batch if part.at is not None])
        unstable = (problem.lower < 0) & (problem.upper > 0)
        score = torch.zeros_like(problem.lower)
        a, values = problem.rows @ self.network.weights[-1], [x]
        for weight, bias in zip(self.network.weights[:-1], self.network.biases[:-1], strict=True):
            values.append((values[-1] @ weight.T + bias).clamp(min=0))
        choice = HullChoice.stacked([part.choice for part in batch if part.choice is not None])
        for k in reversed(range(len(self.network.places))):
            place, weight, bias = self.network.places[k], self.network.weights[k], self.network.biases[k]
            low, high = problem.lower[:, place], problem.upper[:, place]
            z = values[k] @ weight.T + bias
            rising = high / (high - low).clamp(min=1e-300)
            # the most that a line above, or below, can be off at this value, whatever the hull knows more
            above = (rising * (z - low) - z.clamp(min=0)).clamp(min=0)
            below = z.clamp(min=0) - choice.slopes[k] * z
            loss = a.clamp(max=0).abs() * above + a.clamp(min=0) * below
            score[:, place] = loss + 1e-9 * a.abs() * torch.minimum(-low, high).clamp(min=0) + 1e-30
            line = torch.where(low >= 0, 1.0, torch.where(high > 0, rising, 0.0))
            a = (a * line) @ weight
        score = torch.where(unstable, score, -1.0)
        best = score.max(1)
        return torch.where(best.values > 0, best.indices, -1)

    def _decided(self, part: HullPart, at: int, sign: int) -> HullPart:
        """Decide a sign: what it says of the value, and in the first layer of single inputs."""
        known, signs = part.known.clone(), part.signs.clone()
        signs[at] = sign
        known[0 if sign > 0 else 1, at] = 0.0
        if at >= self.network.places[0].stop:
            return replace(part, known=known, signs=signs)
        cut = cut_by_halfspace(
            sign * self.network.weights[0][at], sign * self.network.biases[0][at], part.low, part.high
        )
        if cut is None:
            return replace(part, known=known, signs=signs, is_empty=True)
        return replace(part, low=cut[0], high=cut[1], known=known, signs=signs)


def cut_by_halfspace(
    weight: Float[Tensor, " d"], bias: Tensor, low: Float[Tensor, " d"], high: Float[Tensor, " d"]
) -> tuple[Tensor, Tensor] | None:
    """Cut off of a box what has no input with weight · x + bias >= 0 for its value of one input; None: nothing is left.

    Property: sound: no input of the box with weight · x + bias >= 0 is cut off.
    """
    most = torch.maximum(weight * low, weight * high)
    sizes = magnitude(weight) * magnitude(torch.maximum(low.abs(), high.abs()))
    spare = sum_error(len(weight) + 4, sizes.sum() + bias.abs())
    top = most.sum() + bias + spare
    if not top >= 0:
        return None
    # weight_i x_i >= most_i - top, whatever the others are
    least = most - top - 4 * spare
    place = least / torch.where(weight == 0, 1.0, weight)
    place = place - torch.sign(weight) * (step_error(2, place.abs()) + LOST)
    cut_low = torch.where((weight > 0) & (place > low), place, low)
    cut_high = torch.where((weight < 0) & (place < high), place, high)
    return cut_low.minimum(high), cut_high.maximum(low)


def prove_by_hulls(
    network: DenseNetwork, query: Query, seconds: float | Deadline, replay: Replay, most_subproblems: int = 10**9
) -> Result[HullPart, int]:
    """Prove a query of a dense network, or meet an input for which `replay` finds a counterexample.

    Property: sound in real arithmetic. Complete, given time.

    Reference: Tjandraatmadja et al. 2020, with planes by ascent instead of cutting planes; Bunel et al. 2018.
    """
    until = Deadline.of(seconds)
    problem = HullSplitting(network, query)
    return branch_and_bound(problem, replay, until.is_over, steady(BATCH), most_subproblems=most_subproblems)
