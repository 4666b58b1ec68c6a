"""The search for one verdict: what is known so far, and the stages that add to it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.memory import within_memory
from surefoot.core.rounding import FLOAT32, REAL, Arithmetic, difference_below
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Elementwise, MaxPool2d, Mul, Relu
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.slack import with_slack
from surefoot.graph.passes.softmax import flat_output
from surefoot.proof.certificate import Proof
from surefoot.reach.dense import DenseNetwork, dense_network_of
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.reference import Reference, has_reference
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.stars import Rule
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import Limits
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.spec.replay import Counterexample, Replay
from surefoot.verify.attack import descend, sample
from surefoot.verify.bisection import ends
from surefoot.verify.branch_and_bound import Result
from surefoot.verify.curved import is_treated, prove_by_curvature
from surefoot.verify.dense_splitting import prove_dense
from surefoot.verify.fallback import FallbackSolver, Task, boxes_hold_in_float32, near_misses
from surefoot.verify.hull_splitting import may_use_hulls, prove_by_hulls
from surefoot.verify.input_splitting import (
    AxisBy,
    Effort,
    OutputConstraints,
    SplittingOptions,
    bisections_of,
    prove_by_input_splitting,
)
from surefoot.verify.joined_pair import JoinedPair, joined_pair_of
from surefoot.verify.large import is_large, lower_bounds_in_lots, reference_of, relax_around, zonotope_around
from surefoot.verify.network import Network, must_fit
from surefoot.verify.progress import Progress, begin_stage, listening
from surefoot.verify.refined_splitting import RefinedSearch
from surefoot.verify.refinement import refined_ends
from surefoot.verify.relu_subproblems import Neuron, Subproblem, bound_again, kept_slopes, split_leaves
from surefoot.verify.stars import ExactProgress, box_slack, least, leaves, over_approximate, star_of_inputs

FEW_INPUTS = 20  # up to so many free inputs, splitting inputs is tried before splitting ReLUs
FEW_VALUES = 2000  # of ReLUs, functions, pools and products
SAMPLING = 0.05  # of the work, at most
QUICK = 0.3  # likewise of an attack, and of a zonotope
HALF = 0.5  # likewise of a zonotope of a large network; CROWN without its boxes still takes a minute
TIGHTENING = 0.8  # of the wall's time: what is tightened must still be bounded
SAMPLES = 200_000  # where inputs are few

Stage: TypeAlias = "Callable[[Search], Verdict | None]"


class Search:
    """What is known of one query while stages work on it. A stage returns a verdict, or None: the next one's turn."""

    def __init__(
        self,
        network: Network,
        query: Query,
        seconds: float | Deadline,
        seed: int = 0,
        prove: bool = False,
        float32: bool = True,
        jobs: int = 1,
        asked: Query | None = None,
    ) -> None:
        """Begin; `asked` is the query of the network's own outputs, where `query` is of its logits."""
        must_fit(network, query)
        self.network, self.query, self.seed, self.prove = network, query, seed, prove
        self.float32, self.jobs = float32 and not self.has_functions, jobs  # runtimes approximate each in its own way
        self.deadline = Deadline.of(seconds)
        self.begin = self.deadline.clock.wall()
        self.proven: Holds | None = None
        self.asked = asked or query  # of the network's own outputs; `query` is of its logits
        self.replay = Replay(self.asked, network.run, network.off)
        self.rows = OutputConstraints(query)
        self.counterexample: Counterexample | None = None
        self.best = -math.inf
        self.seen: dict[int, Box] = {}  # boxes of what enters ReLUs, by the zonotope
        self.known: dict[int, Box] = {}  # boxes of the graph's first nodes
        self.broken = False  # exact propagation met inputs that no proof can be had for
        self.too_large: list[str] = []  # stages that needed more memory than may be used
        self.region = Box.around(query.inputs, network.graph.input_shape)

    def candidate(self, x: Tensor, near: bool = True) -> Tensor | None:
        """Replay inputs: those that look like counterexamples in float64, or all."""
        tried = near_misses(self.network.graph, self.query, x) if near else x
        if len(tried):
            self.counterexample = self.replay(tried)
        return torch.from_numpy(self.counterexample.input) if self.counterexample is not None else None

    def answer(self, method: str, stages: Sequence[Stage]) -> Verdict:
        """Answer by stages, one after another; when time is up, with what was found by then."""
        verdict = self.deadline.run(lambda: self._within_memory("bounds", lambda: self._by_stages(method, stages)))
        if verdict is not None:
            return verdict
        if self.counterexample is not None:
            return self.violated("attack")
        return self.proven or self.unknown(method)

    def _by_stages(self, method: str, stages: Sequence[Stage]) -> Verdict:
        if not self.is_finite():
            leave = ", or may leave where its functions are defined" if self.has_functions else ""
            return Unknown(f"values of the network pass what float64 can hold{leave}", -math.inf, self.details())
        for stage in stages:
            name = getattr(stage, "__name__", "a stage").replace("_", "-")
            with listening(self._hear):
                begin_stage(name, self.best)
                verdict = self._within_memory(name, partial(stage, self))
            if verdict is not None:
                return verdict
            if self.deadline.is_over():
                break
        return self.unknown(method)

    def _hear(self, progress: Progress) -> None:
        """Keep the bound that branch and bound has reached: time may be up before it comes back."""
        if progress.bound < math.inf:
            self.best = max(self.best, progress.bound)

    def is_finite(self) -> bool:
        """Whether intervals, or those around the middle of a large network, are numbers, or CROWN's are."""
        if self.is_large:
            return self.reference is None or all(bool(torch.isfinite(x).all()) for x in self.reference.values)
        if _finite(relax(self.network.pooled, self.region, REAL).boxes):
            return True
        if not self.has_functions:
            return False
        tighten = partial(tighten_by_crown, until=self.tightening())
        relaxation = relax(self.network.graph, self.region, REAL, tighten, constraints=self.constraints)
        self.known = dict(enumerate(relaxation.boxes))
        return _finite(relaxation.boxes)

    def _within_memory(self, name: str, stage: Callable[[], Verdict | None]) -> Verdict | None:
        """Try a stage; where it needs more memory than may be used that is noted, and it is the next one's turn."""
        verdicts: list[Verdict | None] = []
        if within_memory(lambda: verdicts.append(stage())):
            return verdicts[0]
        self.too_large.append(name)
        return None

    def unknown(self, method: str) -> Unknown:
        """Say why there is no answer."""
        why = "time is up" if self.deadline.is_over() else f"the bounds of {method} are not tight enough"
        if self.too_large:
            memory = f"too large for the memory that may be used: {', '.join(dict.fromkeys(self.too_large))}"
            why = memory if math.isinf(self.best) else f"{why}; {memory}"  # without a bound, none was not tight enough
        if self.broken:
            why = "real inputs break it, or come within rounding of it; none was seen to in float32"
        if self.replay.impossible:
            why += "; no float32 number lies near the region, so that no counterexample could be replayed"
        return Unknown(why, self.best, self.details())

    def attack(self, restarts: int, steps: int) -> Verdict | None:
        """Look for a counterexample by projected gradient descent."""
        if self.replay.impossible:
            return None
        quick = self.deadline.share(QUICK)
        points = quick.run(lambda: descend(self.searched, self.asked, restarts, steps, self.seed))
        if points is not None:
            self.candidate(points.double(), near=self.asked is self.query)
        return self.violated("attack") if self.counterexample is not None else None

    @cached_property
    def searched(self) -> Graph:
        """The network up to what was asked about, in float32."""
        return self.network.single if self.asked is self.query else flat_output(self.network.whole).to(torch.float32)

    @cached_property
    def free_inputs(self) -> int:
        """How many inputs are not fixed."""
        return int((self.query.inputs.upper > self.query.inputs.lower).sum())

    @property
    def has_few_inputs(self) -> bool:
        """Whether boxes may be split: each bounds every value, and knows nothing of linear input constraints."""
        nodes = self.network.graph.nodes
        values = sum(size_of(node) for node in nodes if isinstance(node.op, Relu | Elementwise | MaxPool2d | Mul))
        return self.free_inputs <= FEW_INPUTS and values <= FEW_VALUES and self.constraints is None

    @property
    def in_ball(self) -> bool:
        """Whether the inputs are those of a ball: what is no method for balls would prove more than is asked."""
        return self.query.inputs.ball is not None

    @cached_property
    def is_large(self) -> bool:
        """Whether the network has millions of values."""
        return is_large(self.network.pooled)

    @property
    def unstable_seen(self) -> int:
        """How many ReLUs were unstable in the zonotope."""
        return sum(int(((box.lower < 0) & (box.upper > 0)).sum()) for box in self.seen.values())

    @cached_property
    def reference(self) -> Reference | None:
        """The values at the middle of the region, where they can be had: what sets are taken around."""
        graph = self.network.pooled
        return reference_of(graph, self.query.inputs) if has_reference(graph) else None

    @property
    def is_polynomial(self) -> bool:
        """Whether its curvature can be bounded."""
        return is_treated(self.network.graph)

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether ReLU splitting alone can decide everything: there are no products and no smooth functions."""
        return not any(isinstance(node.op, Mul | Elementwise) for node in self.network.graph.nodes)

    @property
    def has_functions(self) -> bool:
        """Whether there are smooth functions."""
        return any(isinstance(node.op, Elementwise) for node in self.network.graph.nodes)

    @property
    def is_trivial(self) -> bool:
        """Whether every output is unsafe: any input will do."""
        return any(not len(unsafe.bounds) for unsafe in self.query.unsafe)

    def attack_thoroughly(self) -> Verdict | None:
        """Try more starts where there are few inputs: it costs less than one more bisection."""
        if self.free_inputs > FEW_INPUTS:
            return self.attack(8, 20)
        if self.replay.impossible:
            return None
        points, tried = sample(self.searched, self.asked, SAMPLES, self.seed, self.deadline.share(SAMPLING))
        self.candidate(points.double(), near=self.asked is self.query)
        starts = max(200 * tried // SAMPLES, 8)  # as dear as sampling was
        return self.violated("sampling") if self.counterexample is not None else self.attack(starts, 40)

    def details(self, **more: float) -> dict[str, float]:
        """Say how long it took, and more."""
        return {"seconds": round(self.deadline.clock.wall() - self.begin, 3), **more}

    def holds(
        self, margin: float, method: str, in_float32: Callable[[], bool], proof: Proof | None = None, **more: float
    ) -> Holds:
        """Say what is proven, of float32 too if that can be shown in time."""
        self.proven = Holds(margin, method, False, self.details(**more), proof)
        float32 = self.float32 and in_float32()
        return replace(self.proven, float32=float32, details=self.details(**more))

    def violated(self, method: str) -> Violated:
        """Say what was met."""
        assert self.counterexample is not None
        seen = self.counterexample
        return Violated(seen.input.astype(np.float64), seen.output, method, self.details(), seen.distance)

    def margin(self, graph: Graph, relaxation: Relaxation) -> float:
        """Bound the slack over the region, with the slopes that are there."""
        bounds = lower_bounds_in_lots(relaxation, self.rows.weights.reshape(1, -1, *graph.output_shape))
        return float(self.rows.of_sets(difference_below(bounds, self.rows.bounds)).min())

    def zonotope_margin(self, arithmetic: Arithmetic, boxes: dict[int, Box]) -> float:
        """Bound the slack by a zonotope; its boxes are kept for what comes after, also of one that is interrupted."""
        reference = self.reference if self.is_large and not arithmetic.unit else None
        state = zonotope_around(self.network.pooled, self.query.inputs, reference, arithmetic, boxes)
        return least(box_slack(state.star, unsafe) for unsafe in self.query.unsafe)

    def zonotope(self) -> Verdict | None:
        """Prove it by one zonotope, with a small share of the work; with most where it is the best there is."""
        share = HALF if self.is_large else QUICK
        margin = self.deadline.share(share).run(lambda: self.zonotope_margin(REAL, self.seen))
        if margin is None:
            return None
        self.best = max(self.best, margin)
        return self.holds(margin, "zonotope", self.float32_holds) if margin > 0 else None

    def crown_margin(self, arithmetic: Arithmetic, known: Mapping[int, Box]) -> float:
        """Bound the slack by CROWN."""
        graph = self.network.pooled
        if self.is_large and self.reference is not None and self.constraints is None:
            return self.margin(graph, relax_around(graph, self.region, self.reference, known))
        tighten = partial(tighten_by_crown, until=self.tightening())
        relaxation = relax(graph, self.region, arithmetic, tighten, known, constraints=self.constraints)
        if arithmetic is REAL and not any(isinstance(node.op, MaxPool2d) for node in graph.nodes):
            self.known = dict(enumerate(relaxation.boxes))
        return self.margin(graph, relaxation)

    def tightening(self, share: float = 1.0) -> Deadline:
        """Return until when boxes may be tightened: of the work a share, of the wall's time not all."""
        return replace(self.deadline.share(share), end=self.deadline.before(TIGHTENING).end)

    def float32_holds(self) -> bool:
        """Whether a zonotope or CROWN proves it for float32 too; not tried of large networks, where it never does."""
        if self.is_large:
            return False
        boxes: dict[int, Box] = {}
        margin = -math.inf
        if self.seen:  # zonotopes are dear for many free inputs
            with np.errstate(invalid="ignore"):  # where float32 may overflow errors are infinite, bounds no numbers
                margin = self.zonotope_margin(FLOAT32, boxes)
        return margin > 0 or self.crown_margin(FLOAT32, boxes) > 0

    def crown(self) -> Verdict | None:
        """Prove it by CROWN."""
        margin = self.crown_margin(REAL, self.seen)
        self.best = max(self.best, margin)
        if not margin > 0:
            return None
        return self.holds(margin, "crown", self.float32_holds)

    def split_inputs(self, share: float, axis_by: AxisBy = "slope", grace: float = 1) -> Verdict | None:
        """Prove it by branch and bound on the inputs."""
        effort: Effort = "thorough" if axis_by == "trial" else "all" if self.prove else "unstable"
        until = self.deadline.share(share)
        fallback = None
        if axis_by == "trial" and not self.prove:
            task = Task(self.network.graph, self.query, *self.with_slack_relus())
            fallback = FallbackSolver(task, until, self.jobs)
        graph = self.network.graph
        options = SplittingOptions(axis_by, effort, self.prove, fallback, grace=grace)
        result = prove_by_input_splitting(graph, self.query, REAL, until, self.candidate, options)
        if self.counterexample is not None:
            return self.violated("input-splitting")
        self.best = max(self.best, result.margin)
        if not result.proven:
            return None
        proof, box = None, self.query.inputs
        if self.prove:
            thorough, bisections = effort == "thorough", bisections_of(result)
            proof = Proof(box.lower, box.upper, self.plain_unsafe, "boxes", thorough, bisections)
        subproblems = result.subproblems + (fallback.subproblems if fallback else 0)
        plain = [leaf for leaf in result.leaves if not leaf.by_fallback]

        def in_float32() -> bool:
            return (not plain or boxes_hold_in_float32(graph, self.query, *ends(plain), effort)) and (
                fallback is None or fallback.holds_in_float32()
            )

        return self.holds(result.margin, "input-splitting", in_float32, proof, parts=subproblems)

    @cached_property
    def dense(self) -> DenseNetwork | None:
        """The network as a dense one, if it is one."""
        return dense_network_of(self.network.graph)

    @property
    def may_split_densely(self) -> bool:
        """Whether `split_inputs_of_dense` answers what is asked: it leaves no certificate."""
        return self.dense is not None and self.constraints is None and not self.prove

    def split_inputs_of_dense(self, share: float, most_subproblems: int = 10**9, relus: bool = False) -> Verdict | None:
        """Prove a dense network by branch and bound on the inputs, and of small boxes on the ReLUs."""
        assert self.dense is not None
        until = self.deadline.share(share)
        asked = self.with_slack_relus() if relus else None
        found = prove_dense(self.dense, self.query, until, self.candidate, self.float32, most_subproblems, asked)
        if self.counterexample is not None:
            return self.violated("input-splitting")
        self.best = max(self.best, found.margin)
        if not found.result.proven:
            return None
        return self.holds(found.margin, "input-splitting", found.holds_in_float32, parts=found.subproblems)

    @cached_property
    def pair(self) -> JoinedPair | None:
        """Two dense networks, if it is those side by side and their difference is asked about, in real arithmetic."""
        is_asked = self.constraints is None and not self.prove and not self.float32
        return joined_pair_of(self.network.graph, self.query) if is_asked else None

    def split_inputs_of_pair(self, share: float, most_subproblems: int = 10**9) -> Verdict | None:
        """Prove it of two dense networks by branch and bound on the inputs, with bounds of their differences."""
        assert self.pair is not None
        found = self.pair.prove(self.deadline.share(share), self.candidate, most_subproblems)
        if self.counterexample is not None:
            return self.violated("differences")
        self.best = max(self.best, found.margin)
        if not found.result.proven:
            return None
        return self.holds(found.margin, "differences", lambda: False, parts=found.subproblems)

    @property
    def may_use_hulls(self) -> bool:
        """Whether `split_relus_by_hulls` answers what is asked: it leaves no certificate."""
        return self.may_split_densely and self.dense is not None and may_use_hulls(self.dense, self.query)

    def split_relus_by_hulls(self, share: float) -> Verdict | None:
        """Prove a small dense network by branch and bound on the ReLUs, with convex hulls of single neurons."""
        assert self.dense is not None
        result = prove_by_hulls(self.dense, self.query, self.deadline.share(share), self.candidate)
        if self.counterexample is not None:
            return self.violated("neuron-hulls")
        self.best = max(self.best, result.margin)
        if not result.proven:
            return None
        return self.holds(result.margin, "neuron-hulls", lambda: False, parts=result.subproblems)

    @property
    def constraints(self) -> Limits | None:
        """The linear input constraints, or the ball; certificates of properties speak of all of the box."""
        return None if self.prove else self.query.inputs.limits

    @property
    def plain_unsafe(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """The unsafe sets as a certificate has them."""
        return tuple((unsafe.weights, unsafe.bounds) for unsafe in self.query.unsafe)

    def split_relus(self, most_subproblems: int = 10**9, share: float = 1.0) -> Verdict | None:
        """Prove it by branch and bound on the ReLUs."""
        until, tightening = self.deadline.share(share), self.tightening(0.5 * share)
        graph, query = self.with_slack_relus()
        known = {} if self.prove else self.known
        search = RefinedSearch(graph, self.region, query, until, tightening, self.constraints, known)
        search.certifiable = self.prove
        result = search.prove(self.candidate, most_subproblems)
        if self.counterexample is not None:
            return self.violated("relu-splitting")
        self.best = max(self.best, result.margin)
        if not result.proven:
            return None
        unsplit = result.subproblems <= len(self.query.unsafe) and not search.rounds
        method = "alpha-crown" if unsplit else "relu-splitting"
        proof = self._proof_by_splits(result, search) if self.prove else None

        def in_float32() -> bool:
            return bound_again(search.relaxed(FLOAT32, self.tightening()), query, result.leaves) > 0

        return self.holds(result.margin, method, in_float32, proof, parts=result.subproblems)

    def with_slack_relus(self) -> tuple[Graph, Query]:
        """Conjunctions become ReLUs of their own, but in certificates, which speak of the network alone."""
        if self.prove or all(len(unsafe.bounds) == 1 for unsafe in self.query.unsafe):
            return self.network.graph, self.query
        sets = [(torch.from_numpy(u.weights), torch.from_numpy(u.bounds)) for u in self.query.unsafe]
        reached = tuple(Unsafe(row[None], np.zeros(1)) for row in np.eye(len(sets)))
        return pools_as_relus(with_slack(self.network.graph, sets)), replace(self.query, unsafe=reached)

    def _proof_by_splits(self, result: Result[Subproblem, Neuron], search: RefinedSearch) -> Proof:
        leaves = tuple(leaf for part in result.leaves for leaf in split_leaves([part], part.unsafe))
        box, slopes, refined = self.query.inputs, kept_slopes(search.tightened), refined_ends(search.record)
        return Proof(box.lower, box.upper, self.plain_unsafe, "signs", leaves=leaves, tightened=slopes, refined=refined)

    def curvature(self, share: float = 1.0) -> Verdict | None:
        """Prove a polynomial network by convex functions below it."""
        until = self.deadline.share(share)
        result = prove_by_curvature(self.network.graph, self.query, until, self.candidate, float32=self.float32)
        if self.counterexample is not None:
            return self.violated("curvature")
        self.best = max(self.best, result.margin)
        if not result.proven:
            return None
        in_float32 = all(leaf.float32 for leaf in result.leaves)
        return Holds(result.margin, "curvature", in_float32, self.details(parts=result.subproblems))

    def star(self, method: str, rule: Rule, lps: bool = True, relaxed: float = 0.0) -> Verdict | None:
        """Prove it by propagating one star."""
        star = star_of_inputs(self.query.inputs, self.network.pooled.input_shape)
        answer = over_approximate(self.network.pooled, star, self.query, rule, lps, relaxed, self.reference)
        self.best = max(self.best, answer.slack)
        if answer.slack > 0:
            details = self.details(lps_solved=answer.count.lps_solved, lps_avoided=answer.count.lps_avoided)
            return Holds(answer.slack, method, False, details)
        if answer.input is not None:
            self.candidate(answer.input.flatten()[None])
        return self.violated(method) if self.counterexample is not None else None

    def exact(self) -> Verdict | None:
        """Propagate every pattern. A margin inside the rounding of a leaf decides nothing."""
        star = star_of_inputs(self.query.inputs, self.network.pooled.input_shape)
        progress = ExactProgress()
        try:
            for leaf in leaves(
                self.network.pooled, star, self.query, self.deadline, progress, reference=self.reference
            ):
                if not leaf.slack > 0 and leaf.candidate is not None:
                    self.candidate(leaf.candidate.flatten()[None])
                    if self.counterexample is not None:
                        return self.violated("exact")
        except TimeoutError:
            return None
        details = self.details(leaves=progress.leaves, pruned=progress.pruned, lps_solved=progress.lps_solved)
        if not progress.margin > 0:
            self.best = progress.margin
            self.broken = True
            return None
        return Holds(progress.margin, "exact", False, details)


def _finite(boxes: Sequence[Box]) -> bool:
    return all(bool(torch.isfinite(box.lower + box.upper).all()) for box in boxes)
