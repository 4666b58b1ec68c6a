"""Answer a property of several boxes within one limit of time: all at once first, then one after another."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import Deadline, tick
from surefoot.core.memory import within_memory
from surefoot.core.rounding import FLOAT32, REAL, Arithmetic, difference_below
from surefoot.graph.graph import Graph, evaluate
from surefoot.proof.certificate import Proof
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_all, tighten_by_crown
from surefoot.spec.checking import BEYOND_CONSTRAINTS
from surefoot.spec.outputs import no_certificate_of_thresholds, of_logits
from surefoot.spec.query import Holds, Query, Unknown, Verdict, Violated
from surefoot.spec.replay import Replay
from surefoot.verify.attack import approach
from surefoot.verify.network import Network, must_fit
from surefoot.verify.progress import Progress, listening
from surefoot.verify.run import verify

FEW = 4  # so many boxes and fewer are answered one by one
BATCH_BOXES = 1024  # at most
MOST_VALUES = 2**23  # rows times values of a layer that are carried back at once, for all boxes
STEPS = 4  # of the attack on all boxes
TOGETHER = 0.5  # of the work, at most, for all boxes at once


@dataclass(eq=False)
class Answers:
    """What is known so far of a property of several boxes."""

    queries: Sequence[Query]
    deadline: Deadline
    begin: float
    proven: dict[int, Holds] = field(default_factory=dict)
    margins: dict[int, float] = field(default_factory=dict)  # the best of each box that is not proven
    violated: Violated | None = None

    @property
    def open(self) -> list[int]:
        """Which boxes are not proven."""
        return [i for i in range(len(self.queries)) if i not in self.proven]

    def bounded(self, i: int, margin: float) -> None:
        """Take in a bound of a box."""
        self.margins[i] = max(margin, self.margins.get(i, -math.inf))

    def hear(self, i: int, progress: Progress) -> None:
        """Take in how the search of a box gets on; infinity says that nothing is open, not by how much it holds."""
        if progress.bound < math.inf:
            self.bounded(i, progress.bound)

    def seconds(self) -> dict[str, float]:
        """Return how long it took, for all boxes."""
        return {"seconds": round(self.deadline.clock.wall() - self.begin, 3)}

    def verdict(self, why: str) -> tuple[Verdict, tuple[Proof, ...]]:
        """Return the verdict on all boxes: the worst margin, the time that all took; `why` it is unknown."""
        if self.violated is not None:
            return replace(self.violated, details=self.violated.details | self.seconds()), ()
        every = [self.proven[i] for i in sorted(self.proven)]
        margins = [v.margin for v in every] + [self.margins.get(i, -math.inf) for i in self.open]
        if self.open:
            done = f": {len(every):,} of {len(self.queries):,} boxes proven" if len(self.queries) > 1 else ""
            boxes = {"boxes": len(self.queries), "proven": len(every)} if len(self.queries) > 1 else {}
            return Unknown(why + done, min(margins), boxes | self.seconds()), ()
        worst = min(every, key=lambda v: v.margin)
        boxes = {"boxes": len(every)} if len(every) > 1 else {}
        details = worst.details | boxes | self.seconds()
        proofs = tuple(v.proof for v in every if v.proof is not None)
        return Holds(worst.margin, worst.method, all(v.float32 for v in every), details), proofs


def beyond_certificates(queries: Sequence[Query], network: Network, plain: bool = True) -> str | None:
    """Say why certificates do not cover a property, whatever the answer; None where they do.

    `plain`: the network is that of one file.
    """
    if not plain:
        return (
            "certificates cover VNN-LIB 1.0 and conditions on outputs; the property relates inputs to them, or is 2.0"
        )
    if any(query.inputs.limits is not None for query in queries):
        return BEYOND_CONSTRAINTS
    if not all(query.has_exact_weights for query in queries):
        return "the property has weights of more digits than float64 holds, which certificates do not cover"
    for query in queries:
        if network.link == "identity":
            break
        if any(conditions.thresholds for conditions in of_logits(query, network.link).sets):
            return no_certificate_of_thresholds(network.link)
    return None


def answer_all(
    network: Network,
    queries: Sequence[Query],
    seconds: float | Deadline,
    method: str,
    seed: int,
    prove: bool = False,
    jobs: int = 1,
    begin: float | None = None,
    float32: bool = True,
) -> tuple[Verdict, tuple[Proof, ...]]:
    """Answer a property of several boxes: it holds if it does in each, and is violated if it is in one.

    Many boxes are bounded and attacked together; each that is still open then gets an equal part of the work that is
    left, and the limit ends it all. Returns the proofs too, where they were asked for and it holds. Without `float32`
    it is not asked whether a proof also holds for that.

    Property: sound. `seconds` of the verdict are those of all boxes, from now or from `begin`; its margin is the worst.
    """
    for query in queries:
        must_fit(network, query)
    deadline = Deadline.of(seconds)
    answers = Answers(queries, deadline, deadline.clock.wall() if begin is None else begin)
    why = ["time is up"]

    def search() -> None:
        plain = network.link == "identity" and all(q.inputs.limits is None and q.has_exact_weights for q in queries)
        if len(queries) > FEW and method == "auto" and plain:
            all_at_once = partial(_together, network, answers, prove)
            within_memory(partial(deadline.share(TOGETHER).run, all_at_once))  # one by one they need less
        todo = [] if answers.violated else answers.open
        for number, i in enumerate(todo):
            tick()
            share = deadline if len(queries) == 1 else deadline.before(1 / (len(todo) - number))
            with listening(partial(answers.hear, i)):  # time may be up before the verdict comes back
                verdict = verify(network, queries[i], share, method, seed, prove, float32, jobs)
            if isinstance(verdict, Violated):
                answers.violated = verdict
                return
            if isinstance(verdict, Holds):
                answers.proven[i] = verdict
            else:
                why[0] = verdict.why
                answers.bounded(i, verdict.margin)

    deadline.run(search)
    return answers.verdict("time is up" if deadline.is_over() else why[0])


@dataclass(frozen=True, eq=False)
class _Stack:
    """Boxes (n, d) whose unsafe sets have as many rows as one another's: weights (n, r, k), bounds (n, r)."""

    which: list[int]
    low: Tensor
    high: Tensor
    weights: Tensor
    bounds: Tensor
    sizes: tuple[int, ...]  # of the sets, in rows

    @staticmethod
    def of(which: list[int], queries: Sequence[Query]) -> "_Stack":
        stacked = [queries[i] for i in which]
        return _Stack(
            which,
            torch.from_numpy(np.stack([q.inputs.lower for q in stacked])),
            torch.from_numpy(np.stack([q.inputs.upper for q in stacked])),
            torch.from_numpy(np.stack([np.concatenate([u.weights for u in q.unsafe]) for q in stacked])),
            torch.from_numpy(np.stack([np.concatenate([u.bounds for u in q.unsafe]) for q in stacked])),
            tuple(len(u.bounds) for u in stacked[0].unsafe),
        )

    def some(self, mask: Tensor) -> "_Stack":
        """Return some of the boxes."""
        which = [i for i, kept in zip(self.which, mask.tolist(), strict=True) if kept]
        low, high, weights, bounds = (part[mask] for part in (self.low, self.high, self.weights, self.bounds))
        return _Stack(which, low, high, weights, bounds, self.sizes)

    def missed(self, rows: Tensor) -> Tensor:
        """Return by how much the nearest unsafe set is missed, (n, r) to (n,): a set is missed by its largest row."""
        return torch.stack([part.max(1).values for part in rows.split(self.sizes, 1)], 1).min(1).values

    def slack(self, y: Tensor) -> Tensor:
        """Return how far outputs (n, k) are from what is unsafe."""
        return self.missed((self.weights.to(y.dtype) @ y.unsqueeze(2)).squeeze(2) - self.bounds.to(y.dtype))

    def margins(self, graph: Graph, arithmetic: Arithmetic, prove: bool) -> Tensor:
        """Bound that from below over each box, (n,).

        Property: sound.
        """
        shape = (-1, *graph.input_shape)
        tighten = tighten_all if prove else tighten_by_crown
        region = Box(self.low.reshape(shape), self.high.reshape(shape))
        relaxation = relax(graph, region, arithmetic, tighten, multi_neuron=not prove)
        rows = lower_bounds(
            relaxation, len(graph.nodes) - 1, self.weights.reshape(*self.bounds.shape, *graph.output_shape)
        )
        return self.missed(difference_below(rows, self.bounds))


def _together(network: Network, answers: Answers, prove: bool) -> None:
    """Bound and attack all boxes, a stack of them at a time; what is known grows with every stack."""
    for stack in _stacks(network, answers.queries):
        tick()
        margins = stack.margins(network.graph, REAL, prove)
        proven = margins > 0  # what is not a number is not proven
        safe = stack.some(proven)
        in_float32 = iter((safe.margins(network.graph, FLOAT32, prove) > 0).tolist() if safe.which else [])
        for i, margin, holds in zip(stack.which, margins.tolist(), proven.tolist(), strict=True):
            if holds:
                proof = _proof(answers.queries[i]) if prove else None
                answers.proven[i] = Holds(margin, "crown", next(in_float32) and network.float32, {}, proof)
            else:
                answers.margins[i] = margin if math.isfinite(margin) else -math.inf
        if len(safe.which) < len(stack.which):
            answers.violated = _attack(network, answers.queries, stack.some(~proven))
        if answers.violated is not None:
            return


def _stacks(network: Network, queries: Sequence[Query]) -> Iterator[_Stack]:
    """Stack boxes that ask for as many outputs, the first stacks small: the limit of time is seen after each."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, query in enumerate(queries):
        if all(len(unsafe.bounds) for unsafe in query.unsafe):
            alike.setdefault(tuple(len(unsafe.bounds) for unsafe in query.unsafe), []).append(i)
    widest = max(size_of(node) for node in network.graph.nodes)
    most = int(np.clip(MOST_VALUES // (2 * widest * widest), 1, BATCH_BOXES))
    for numbers in alike.values():
        size, begin = 1, 0
        while begin < len(numbers):
            size = min(4 * size, most)
            yield _Stack.of(numbers[begin : begin + size], queries)
            begin += size


def _attack(network: Network, queries: Sequence[Query], stack: _Stack) -> Violated | None:
    """Look for a counterexample in any of the boxes; replay what is unsafe in float64, or within rounding of it."""
    single = replace(stack, low=stack.low.float(), high=stack.high.float())
    x = approach(network.single, single.low, single.high, single.slack, STEPS).double().clamp(stack.low, stack.high)
    y = evaluate(network.graph, x.reshape(-1, *network.graph.input_shape)).flatten(1)
    slack = stack.slack(y)
    near = slack <= 1e-4 * (1 + y.abs().amax(1))
    for place in slack.argsort().tolist():
        if not near[place]:
            continue
        counterexample = Replay(queries[stack.which[place]], network.run, network.off)(x[place][None])
        if counterexample is not None:
            return Violated(
                counterexample.input.astype(np.float64), counterexample.output, "attack", {}, counterexample.distance
            )
    return None


def _proof(query: Query) -> Proof:
    """Return the proof of a box that needs no bisection."""
    none = np.zeros(0)
    unsafe = tuple((u.weights, u.bounds) for u in query.unsafe)
    box, never = query.inputs, (none.astype(int), none.astype(int), none)
    return Proof(box.lower, box.upper, unsafe, "boxes", False, never)
