"""Do two networks' outputs differ by so much anywhere in a domain?"""

import math
from dataclasses import replace

import numpy as np
import torch

from surefoot.compress.dense_equality import (
    are_few,
    are_of_one_layout,
    attacked,
    decide_differences,
    dense_pair_of,
    differ_by,
    outputs_of,
)
from surefoot.compress.equal import equal, rounding_of_reading, searched
from surefoot.compress.stability import Patience
from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.proven import at_least, at_most
from surefoot.core.rounding import ELEMENTARY, difference_below
from surefoot.graph.graph import Graph
from surefoot.graph.passes.difference import difference_of
from surefoot.graph.passes.softmax import flat_output, link_of, logits_of
from surefoot.graph.same import same_operations
from surefoot.reach.difference import DensePair
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.spec.replay import Replay
from surefoot.spec.runtime import Runner, runner_of_graph
from surefoot.verify.network import Network
from surefoot.verify.progress import Progress, begin_stage, listening
from surefoot.verify.run import verify

MANY_CLASSES = 32
# of the time that is left, at most: for `equal`; for branch and bound on the differences, of few inputs, of many
FIRST, FEW, MANY = 0.3, 0.8, 0.3
KEPT = 0.9  # of what that gets: it stops by itself between two batches, and says what it bounded


def within(
    first: Graph,
    second: Graph,
    domain: InputSet,
    most: float,
    seconds: float | Deadline,
    run: Runner | None = None,
) -> Verdict:
    """Prove that no output differs by `most` or more over a domain, or give an input where one does.

    Dense networks of one layout by branch and bound on their differences; others, and what that leaves open, by
    `equal`, else by splitting the domain of the difference's graph.

    `run` gives the difference of the networks in float32 execution, for the replay; default: that of both graphs. The
    details have the proven `bound` of all differences, where there is one, and the `largest_difference_seen`.

    Property: sound; complete given time.

    Raises:
        InputError: networks of different inputs or outputs, or a difference that is not positive.
    """
    if not 0 < most < math.inf:
        raise InputError(f"a difference of {most} cannot be kept; a positive number is needed")
    deadline = Deadline.of(seconds)
    begin = deadline.clock.wall()
    answer = _Within(first.to(torch.float64), second.to(torch.float64), domain, most, deadline, run).answer()
    return replace(answer, details=answer.details | {"seconds": round(deadline.clock.wall() - begin, 3)})


class _Within:
    """What is asked, and what is known by now: a bound of all differences, and the largest that was seen."""

    def __init__(
        self, first: Graph, second: Graph, domain: InputSet, most: float, deadline: Deadline, run: Runner | None
    ) -> None:
        self.first, self.second, self.domain, self.most, self.deadline = first, second, domain, most, deadline
        self.gap, self.spare = difference_of(first, second), rounding_of_reading((first, second), domain)
        self.run = run or runner_of_graph(self.gap)
        self.less = _less(most, self.spare)  # to be proven of graphs
        self.bound, self.seen = math.inf, 0.0

    def answer(self) -> Verdict:
        """Try one way after another."""
        pair = dense_pair_of(self.first, self.second)
        if same_operations(self.first, self.second) or (pair is not None and pair.is_equal and not self.spare.any()):
            self.bound = 0.0
            return self._known(Holds(self.most, "equal-weights", False))
        if self.less is None:
            return self._by_bounds() or self._known(
                self._unknown("the rounding of constants by reading may change as much")
            )
        less, ways = self.less, [self._by_bounds]
        if pair is not None:
            first = are_of_one_layout(self.first, self.second)  # else forms may show that nothing was lost
            ways.insert(0 if first else 1, lambda: self._by_pair(pair, less))
        answer = next((found for found in (way() for way in ways) if found is not None), None)
        return self._known(answer or self._by_graph(less))

    def _known(self, answer: Verdict) -> Verdict:
        """Say what is known besides."""
        seen = float(np.abs(answer.output).max()) if isinstance(answer, Violated) else self.seen
        bound = {"bound": self.bound} if math.isfinite(self.bound) else {}
        return replace(answer, details=answer.details | bound | {"largest_difference_seen": seen})

    def _unknown(self, why: str) -> Unknown:
        if math.isfinite(self.bound):
            why += f"; no output differs by more than {at_most(self.bound, 3)}, and one by {self.seen:.3g} was met"
        return Unknown(why, self.most - self.bound)

    def _by_pair(self, pair: DensePair, less: float) -> Verdict | None:
        """Decide by branch and bound on the differences of two dense networks; None if that leaves it open."""
        k = len(pair.biases[-1])

        def run(x: np.ndarray) -> np.ndarray:
            gap = self.run(x)
            return np.concatenate([np.zeros_like(gap), gap], 1)  # nothing is asked of the first's outputs

        is_few = are_few(self.domain) and self.domain.limits is None  # what is proven is proven of the box
        share = self.deadline.before(FEW if is_few else MANY)
        tried = share.before(FIRST).run(lambda: attacked(pair, self.domain))
        if tried is not None:
            self.seen = max(self.seen, float(outputs_of(pair, tried)[:, k:].abs().max()))
        asked = differ_by(less, k)
        with listening(self._hear):  # time may be up before the verdict comes back
            begin_stage("differences", -math.inf)
            answer = share.run(lambda: decide_differences(pair, self.domain, asked, share.before(KEPT), run, tried))
        if answer is None:
            return None
        if isinstance(answer, Violated):
            answer = replace(answer, output=answer.output[k:])
            return answer if self._differs(answer) else None
        self.bound = min(self.bound, -float(difference_below(answer.margin, self.most)))
        return answer if isinstance(answer, Holds) else None

    def _hear(self, progress: Progress) -> None:
        """Keep the bound that branch and bound has reached; of what is proven by then it says nothing."""
        self.bound = min(self.bound, -float(difference_below(min(progress.bound, 0.0), self.most)))

    def _differs(self, answer: Violated) -> bool:
        return bool(np.abs(answer.output).max() >= self.most)

    def _by_bounds(self) -> Verdict | None:
        """Prove it by a bound of the difference, without a question."""
        patience = Patience(min(self.deadline.work_left / 20, 2.0), self.deadline.before(FIRST))
        bounded = equal(self.first, self.second, self.domain, patience, branch=False)
        self.bound, self.seen = min(self.bound, bounded.largest), max(self.seen, bounded.met)
        if not self.bound < self.most:
            return None
        return self._known(Holds(self.most - self.bound, "affine-forms", False))

    def _by_graph(self, less: float) -> Verdict:
        """Ask the graph of the difference."""
        k = math.prod(self.gap.output_shape)
        unsafe = tuple(Unsafe(sign * np.eye(k)[i : i + 1], np.array([-less])) for i in range(k) for sign in (1.0, -1.0))
        answer = verify(Network.of(self.gap, self.run), Query(self.domain, unsafe), self.deadline, float32=False)
        if isinstance(answer, Holds) or (isinstance(answer, Violated) and self._differs(answer)):
            return answer
        if isinstance(answer, Violated):
            return self._unknown("outputs differ by as much but for the rounding of constants by reading")
        self.bound = min(self.bound, -float(difference_below(answer.margin, self.most)))
        return replace(self._unknown(answer.why), details=answer.details)


def within_softmax(
    first: Graph,
    second: Graph,
    domain: InputSet,
    most: float,
    seconds: float | Deadline,
    run: Runner,
) -> Verdict:
    """Prove that no probability of two networks differs by `most` or more, or no log-probability, as both end.

    Where the differences of logits are less than S apart, no probability differs by tanh(S / 4), and no log-probability
    by S: what is added to all logits changes nothing. The opposite is not true: what is said to differ is what `run`,
    the difference of the outputs in float32 execution, was seen to give.

    Property: sound, not complete.

    Raises:
        InputError: networks of different inputs or outputs, or a difference that is not positive.
    """
    if not 0 < most < math.inf:
        raise InputError(f"a difference of {most} cannot be kept; a positive number is needed")
    deadline, k = Deadline.of(seconds), math.prod(first.output_shape)
    begin = deadline.clock.wall()

    def took() -> dict[str, float]:
        return {"seconds": round(deadline.clock.wall() - begin, 3)}

    if k == 1 or (most >= 1 and link_of(first) == "softmax"):  # probabilities differ by less than 1
        return Holds(most if k == 1 else most - 1, "softmax", False, took())
    differ = tuple(Unsafe(sign * np.eye(k)[i : i + 1], np.array([-most])) for i in range(k) for sign in (1.0, -1.0))
    replay, nothing = Replay(Query(domain, differ), run), np.full(k, np.inf)
    outputs = [flat_output(graph) for graph in (first, second)]
    met = deadline.before(FIRST).run(lambda: searched(outputs[0], outputs[1], domain, nothing))
    counterexample, why = None if met is None else replay(torch.from_numpy(met.input)[None]), ""
    if counterexample is None:
        apart = most if link_of(first) == "log-softmax" else 4 * math.atanh(most) * (1 - ELEMENTARY)
        logits = [flat_output(logits_of(graph)) for graph in (first, second)]
        verdict = _apart(logits[0], logits[1], domain, apart, deadline)
        if not isinstance(verdict, Violated):
            return replace(verdict, details=took())
        counterexample = replay(torch.from_numpy(verdict.input)[None])
        proven = at_least(apart, 3)
        why = f"differences of logits are {proven} apart and more, but no output was seen to differ by {most!r}"
    if counterexample is not None:
        return Violated(
            counterexample.input.astype(np.float64), counterexample.output, "search", took(), counterexample.distance
        )
    return Unknown(why, -math.inf, took())


def _apart(first: Graph, second: Graph, domain: InputSet, apart: float, deadline: Deadline) -> Verdict:
    """Prove that the differences of two networks' logits are less than so much apart from each other."""
    patience = Patience(min(deadline.work_left / 20, 2.0), deadline.before(FIRST))
    bounded = equal(first, second, domain, patience)
    if 2 * bounded.largest < apart:
        return Holds(apart - 2 * bounded.largest, "affine-forms", False)
    k = math.prod(first.output_shape)
    if k > MANY_CLASSES:  # pairs would be too many: each difference on its own
        return within(first, second, domain, apart / 2, deadline)
    less = _less(apart, 2 * rounding_of_reading((first, second), domain))
    if less is None:
        return Unknown("the rounding of constants by reading may change as much", apart - 2 * bounded.largest)
    rows = [np.eye(k)[i] - np.eye(k)[j] for i in range(k) for j in range(k) if i != j]
    unsafe = tuple(Unsafe(row[None], np.array([-less])) for row in rows)
    return verify(Network.of(difference_of(first, second)), Query(domain, unsafe), deadline, float32=False)


def _less(most: float, spare: np.ndarray) -> float | None:
    """Return a difference to prove of graphs, so that files' stay below `most`; None where none would do."""
    largest = float(spare.max())
    less = most if largest == 0 else float(difference_below(most, largest))
    return less if less > 0 else None
