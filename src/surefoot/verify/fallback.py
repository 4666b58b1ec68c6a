"""Prove the boxes that input splitting leaves open by ReLU splitting: near the least margin bisection never ends."""

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import FLOAT32, REAL
from surefoot.core.threads import in_processes
from surefoot.graph.graph import Graph, evaluate
from surefoot.reach.alpha_crown import ALPHA_STEPS, tighten_by_alpha_crown
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query
from surefoot.verify.bisection import ends
from surefoot.verify.input_splitting import (
    BATCH_BOXES,
    Effort,
    OutputConstraints,
    SplittingOptions,
    bound_sets,
    prove_by_input_splitting,
)
from surefoot.verify.relu_splitting import prove_by_relu_splitting
from surefoot.verify.relu_subproblems import Subproblem, bound_again

QUICK_SUBPROBLEMS = 32  # of a box: bisections before signs are split
SIGN_SUBPROBLEMS = 200
SUSPECTS = 4


@dataclass(frozen=True, eq=False)
class Task:
    """What is asked of every box: of the network, and of the same with its conjunctions written as ReLUs."""

    graph: Graph
    query: Query
    sign_graph: Graph
    sign_query: Query


@dataclass(frozen=True, eq=False)
class Fallback:
    """A bound of the margin over one box (minus infinity: not to be had in few subproblems), and what showed it."""

    margin: float = -math.inf
    subproblems: int = 0
    bisected: tuple[Tensor, Tensor] | None = None  # boxes that bisection proved,
    signed: tuple[Subproblem, ...] = ()  # or subproblems of the box, by signs
    suspects: Tensor | None = None  # inputs (n, d) that seem to be counterexamples, to be replayed


def near_misses(graph: Graph, query: Query, x: Tensor) -> Tensor:
    """Return, flat, the few of the inputs (n, ...) whose output is unsafe in float64, or within rounding of it."""
    with torch.no_grad():
        y = evaluate(graph, x.reshape(-1, *graph.input_shape)).flatten(1)
    slack = torch.from_numpy(query.slack(y.numpy()))
    near = slack.argsort()[:SUSPECTS]
    return x.flatten(1)[near[slack[near] <= 1e-4 * (1 + float(y.abs().max()))]]


def prove_box(task: Task, low: Float[Tensor, " d"], high: Float[Tensor, " d"], until: Deadline) -> Fallback:
    """Prove one box by a few bisections, else by a few splits of signs.

    Property: a margin above 0 is proven in real arithmetic.
    """
    suspects: list[Tensor] = []

    def suspect(x: Tensor) -> Tensor | None:
        suspects.append(near_misses(task.graph, task.query, x))
        return None  # whoever asked replays them

    def met() -> Tensor | None:
        return torch.cat(suspects)[:SUSPECTS] if suspects else None

    if until.is_over():
        return Fallback()
    part = InputSet.of(low, high)
    query = replace(task.query, inputs=part)
    quick = prove_by_input_splitting(
        task.graph, query, REAL, until, suspect, SplittingOptions(most_subproblems=QUICK_SUBPROBLEMS)
    )
    if quick.proven:
        return Fallback(quick.margin, quick.subproblems, bisected=ends(quick.leaves))
    asked = replace(task.sign_query, inputs=part)
    relaxation = relax(task.sign_graph, _box(task, low, high), REAL, tighten_by_alpha_crown(ALPHA_STEPS, until))
    result = prove_by_relu_splitting(relaxation, asked, until, suspect, SIGN_SUBPROBLEMS)
    subproblems = quick.subproblems + result.subproblems
    if not result.proven:
        return Fallback(subproblems=subproblems, suspects=met())
    return Fallback(result.margin, subproblems, signed=result.leaves)


def box_holds_in_float32(
    task: Task, low: Float[Tensor, " d"], high: Float[Tensor, " d"], proven: Fallback, until: Deadline
) -> bool:
    """Whether what was proven of a box is proven for float32 too, by the same subproblems."""
    if proven.bisected is not None:
        return boxes_hold_in_float32(task.graph, task.query, *proven.bisected, "unstable")
    asked = replace(task.sign_query, inputs=InputSet.of(low, high))
    relaxation = relax(task.sign_graph, _box(task, low, high), FLOAT32, tighten_by_alpha_crown(ALPHA_STEPS, until))
    return bound_again(relaxation, asked, proven.signed) > 0


def boxes_hold_in_float32(
    graph: Graph, query: Query, low: Float[Tensor, "n d"], high: Float[Tensor, "n d"], effort: Effort
) -> bool:
    """Whether every box (n, d) misses all that is unsafe for any float32 evaluation, by substitution alone."""
    rows = OutputConstraints(query)
    for i in range(0, len(low), BATCH_BOXES):
        sets, _ = bound_sets(graph, low[i : i + BATCH_BOXES], high[i : i + BATCH_BOXES], rows, FLOAT32, effort)
        if not bool((sets > 0).all()):
            return False
    return True


def _box(task: Task, low: Float[Tensor, " d"], high: Float[Tensor, " d"]) -> Box:
    shape = (1, *task.graph.input_shape)
    return Box(low.reshape(shape), high.reshape(shape))


@dataclass(eq=False)
class FallbackSolver:
    """Prove boxes, in so many processes; keep what showed each."""

    task: Task
    until: Deadline
    jobs: int = 1
    subproblems: int = 0
    done: list[tuple[Tensor, Tensor, Fallback]] = field(default_factory=list)

    def __call__(self, low: Float[Tensor, "n d"], high: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
        """Return bounds of the margins over boxes (n, d) from below, and inputs (m, d) to be replayed."""
        boxes = list(zip(low, high, strict=True))
        tasks = [(self.task, lo, hi, self.until) for lo, hi in boxes]
        fallbacks = [one or Fallback() for one in in_processes(prove_box, tasks, self.until, self.jobs)]
        self.subproblems += sum(one.subproblems for one in fallbacks)
        self.done += [(lo, hi, one) for (lo, hi), one in zip(boxes, fallbacks, strict=True) if one.margin > 0]
        margins = torch.tensor([one.margin for one in fallbacks], dtype=torch.float64)
        return margins, torch.cat([low[:0], *(one.suspects for one in fallbacks if one.suspects is not None)])

    def holds_in_float32(self) -> bool:
        """Whether all that was proven here is also proven for float32."""
        tasks = [(self.task, lo, hi, one, self.until) for lo, hi, one in self.done]
        return all(in_processes(box_holds_in_float32, tasks, self.until, self.jobs))
