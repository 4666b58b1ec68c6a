"""Do two networks give the same answer, the class of the largest output, everywhere in a domain?"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from surefoot.compress.dense_equality import attacked, decide_differences, dense_pair_of, outputs_of
from surefoot.compress.equal import rounding_of_reading
from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.rounding import ELEMENTARY
from surefoot.graph.graph import Graph
from surefoot.graph.passes.joined import joined
from surefoot.graph.same import same_operations
from surefoot.reach.difference import DensePair
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.spec.runtime import Runner, runner_of_graph
from surefoot.verify.network import Network
from surefoot.verify.run import verify

MOST_CLASSES = 32  # pairs of these are asked about
# of the time: for an attack; for branch and bound on the differences of dense networks, and of that until it stops
ATTACK, DENSE, KEPT = 0.2, 0.8, 0.9


def same_answer(
    first: Graph,
    second: Graph,
    domain: InputSet,
    seconds: float | Deadline,
    sure: float = 0.0,
    run: Runner | None = None,
) -> Verdict:
    """Prove that the largest output is the same wherever the first's confidence is at least `sure`, or break it.

    Where class i has a confidence of s its output is at least log(s / (1 - s)) above all others; so much is asked. A
    counterexample has that confidence, and no ties. `run` gives the outputs of both, one after another, in float32
    execution; default: those of the graphs. A verdict of violated has these.

    Property: sound; complete given time but for confidences of more than two classes.

    *Reference*: Teuber et al. 2025 (VeryDiff), top-1 and delta-top-1 equivalence.

    Raises:
        InputError: networks of different inputs or outputs, one output, or a confidence that is none.
    """
    if not 0 <= sure < 1:
        raise InputError(f"a confidence of {sure} cannot be asked for; a number from 0 to below 1 is needed")
    first, second = first.to(torch.float64), second.to(torch.float64)
    k = math.prod(first.output_shape)
    if first.input_shape != second.input_shape or math.prod(second.output_shape) != k:
        raise InputError(
            f"networks from {first.input_shape} to {first.output_shape} and from {second.input_shape} to "
            f"{second.output_shape} cannot be compared"
        )
    if not 2 <= k <= MOST_CLASSES:
        raise InputError(f"answers are compared of 2 to {MOST_CLASSES} classes; the networks have {k}")
    deadline = Deadline.of(seconds)
    begin = deadline.clock.wall()
    answer = _decided(first, second, domain, deadline, sure, run)
    return replace(answer, details=answer.details | {"seconds": round(deadline.clock.wall() - begin, 3)})


def _decided(
    first: Graph, second: Graph, domain: InputSet, deadline: Deadline, sure: float, run: Runner | None
) -> Verdict:
    pair, spare = dense_pair_of(first, second), rounding_of_reading((first, second), domain)
    if same_operations(first, second) or (pair is not None and pair.is_equal and not spare.any()):
        return Holds(0.0, "equal-weights", False)
    k, margin = math.prod(first.output_shape), margin_of(sure)
    places = list(range(domain.size))
    both = joined([(first, places), (second, places)], domain.size)
    run = run or runner_of_graph(both)
    unsafe = answers_differ(k, margin, 2 * float(spare.max()))
    if pair is not None:
        answer = _by_pair(pair, domain, unsafe, deadline.before(DENSE), sure, run)
        if not isinstance(answer, Unknown) or deadline.is_over():
            return answer
    of_both = tuple(Unsafe(_of_outputs(u.weights, k), u.bounds) for u in unsafe)
    answer = verify(Network.of(both, run), Query(domain, of_both), deadline, float32=False)
    if isinstance(answer, Violated) and not differs(answer.output, sure):
        return Unknown("an input was met that is nearly a counterexample", -math.inf, answer.details)
    return answer


def _by_pair(
    pair: DensePair, domain: InputSet, unsafe: tuple[Unsafe, ...], deadline: Deadline, sure: float, run: Runner
) -> Verdict:
    k = len(pair.biases[-1])

    def goal(both: Tensor) -> Tensor:
        """Return by how much another class leads in the second, or as much as the first is surer than asked."""
        one, gap = both.chunk(2, 1)
        top = one.argmax(1, keepdim=True)
        leads = [x - x.gather(1, top) for x in (one, one - gap)]
        ahead = [lead.scatter(1, top, -torch.inf).amax(1) for lead in leads]
        return torch.minimum(ahead[1], -ahead[0] - margin_of(sure))

    def gaps(x: np.ndarray) -> np.ndarray:
        one, two = np.split(run(x).astype(np.float64), 2, 1)
        return np.concatenate([one, one - two], 1)  # exact, of float32 numbers that are near each other

    tried = deadline.before(ATTACK).run(lambda: attacked(pair, domain, goal))
    seen = 0.0 if tried is None else float(outputs_of(pair, tried)[:, k:].abs().max())

    def confirmed(output: np.ndarray) -> bool:
        return differs(np.concatenate([output[:k], output[:k] - output[k:]]), sure)

    until = deadline.before(KEPT)  # it stops by itself between two batches, and says what it bounded
    decided = deadline.run(lambda: decide_differences(pair, domain, unsafe, until, gaps, tried, confirmed))
    answer = decided or Unknown("time is up", -math.inf)
    if isinstance(answer, Violated):
        answer = replace(answer, output=run(answer.input[None].astype(np.float32))[0])
        if not differs(answer.output, sure):
            answer = Unknown("an input was met that is nearly a counterexample", -math.inf)
    return replace(answer, details=answer.details | {"largest_difference_seen": seen})


def margin_of(sure: float) -> float:
    """Return by how much an output leads at least where its confidence is `sure` and it is the largest.

    >>> margin_of(0.5), 2.19 < margin_of(0.9) < 2.1973
    (0.0, True)
    """
    return 0.0 if sure <= 0.5 else max(math.log(sure / (1 - sure)) - 2 * ELEMENTARY / (1 - sure), 0.0)


def differs(outputs: np.ndarray, sure: float = 0.0) -> bool:
    """Whether two networks' outputs (2k,) have other answers, without ties, and the first is so sure."""
    one, two = np.split(outputs.astype(np.float64), 2)
    top, other = int(one.argmax()), int(two.argmax())
    confidence = 1 / np.exp(one - one[top]).sum()
    alone = int((one == one[top]).sum()) == 1
    return bool(top != other and two[other] > two[top] and alone and confidence >= sure)


def answers_differ(classes: int, margin: float, spare: float = 0.0) -> tuple[Unsafe, ...]:
    """Return the (f, f - g) for which f leads with class i by a margin, and g with j; all within `spare`.

    Both together are about the difference alone, and are said so besides.
    """
    unit, sets = np.eye(2 * classes), []
    for i in range(classes):
        for j in range(classes):
            if i == j:
                continue
            others = [unit[m] - unit[i] for m in range(classes) if m not in (i, j)]
            led, leads = unit[j] - unit[i], unit[classes + j] - unit[classes + i]
            rows = np.array([led, leads - led, leads, *others])  # f_i leads, g_j leads, and the sum of both
            bounds = np.array([-margin, 0.0, -margin, *[0.0] * len(others)])
            sets.append(Unsafe(rows, bounds + np.array([spare, spare, 2 * spare, *[spare] * len(others)])))
    return tuple(sets)


def _of_outputs(rows: np.ndarray, k: int) -> np.ndarray:
    """Write rows of (f, f - g) as rows of (f, g)."""
    return np.concatenate([rows[:, :k] + rows[:, k:], -rows[:, k:]], 1)
