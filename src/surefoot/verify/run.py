"""The cascade: cheap answers first, complete ones last."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.rounding import FLOAT32, REAL, Arithmetic
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Linear, MaxPool2d, Mul, Relu, Reshape
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.prefix import prefixed
from surefoot.graph.passes.slack import with_slack
from surefoot.graph.passes.softmax import Link, flat_output, link_of, logits_of
from surefoot.proof.certificate import Proof
from surefoot.reach.alpha_crown import Tightened, tighten_by_alpha_crown
from surefoot.reach.crown import LARGEST_ROWS, Relaxation, lower_bounds, relax, tighten_by_crown
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.stars import Rule, State, approximate, begin
from surefoot.spec.exact import above
from surefoot.spec.outputs import comparisons_of_logits, of_logits, widened_for_float32
from surefoot.spec.perturbations import Region
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.spec.replay import Hit, Replay
from surefoot.spec.runtime import Runner, runner_of_graph
from surefoot.verify.attack import descend, sample
from surefoot.verify.curved import LARGEST, is_treated, prove_by_curvature
from surefoot.verify.fallback import ASCENT, FallbackSolver, Task, boxes_hold_in_float32, near_misses
from surefoot.verify.input_splitting import AxisBy, Effort, Frontier, OutputConstraints, divide
from surefoot.verify.probabilities import halved, polytopes
from surefoot.verify.relu_splitting import Outcome, Subproblem, bound_again, kept_slopes, split_leaves, split_relus
from surefoot.verify.stars import Walked, box_slack, least, leaves, over_approximate, star_of_box

Method = Literal[
    "auto", "substitution", "curvature", "ascent", "split", "divide", "exact", "star", "zonotope", "polytope", "relaxed"
]
Stage = Callable[[], Verdict | None]
_PROVING = ("auto", "ascent", "split", "divide")
FEW_INPUTS = 20  # up to so many free inputs, dividing the region is tried before ReLU splitting
FEW_VALUES = 2000  # of ReLUs, pools and products
SOME_PARTS = 512  # that ReLU splitting may take between two ways of dividing
MANY_INPUTS = 200  # from so many on a zonotope has too many generators to be the cheap way
SAMPLING = 0.05  # of the work, at most
QUICK_PGD = 0.3  # likewise of an attack, and of a zonotope
TIGHTENING = 0.8  # of the wall's time: what is tightened must still be bounded
SAMPLES = 200_000  # where inputs are few


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to be proven things about."""

    graph: Graph  # float64, ends in logits, max pooling written with ReLUs
    pooled: Graph  # float64, ends in logits, max pooling as it is
    single: Graph  # the same in float32, as it was read
    whole: Graph  # float64, up to the network's own outputs: with a softmax, if it ends in one
    run: Runner  # gives its own outputs
    float32: bool = True  # whether it is deployed in float32
    off: Callable[[np.ndarray], float] | None = None  # how far what `run` runs is from the input that was asked
    moved: Callable[[np.ndarray], np.ndarray] | None = None  # what `run` runs for positions (n, m), where not these

    @staticmethod
    def of(graph: Graph, run: Runner | None = None, float32: bool = True) -> "Network":
        """Prepare a graph. `run` is how it is deployed; default: its operations in float32."""
        logits = flat_output(logits_of(graph))
        single = logits.to(torch.float32)
        double = logits.to(torch.float64)
        whole = graph.to(torch.float64)
        return Network(pools_as_relus(double), double, single, whole, run or runner_of_graph(graph), float32)

    @property
    def link(self) -> Link:
        """What takes the logits to the outputs that a property speaks of."""
        return link_of(self.whole)

    def along(self, centre: np.ndarray, directions: np.ndarray) -> "Network":
        """Return the network as a function of a, for inputs centre + a · directions.

        A candidate is replayed at the float32 image nearest to it.
        """
        ops = [
            Linear(torch.tensor(directions.T, dtype=torch.float64), torch.tensor(centre, dtype=torch.float64)),
            Reshape(self.graph.input_shape),
        ]
        shape = (len(directions),)

        def moved(a: np.ndarray) -> np.ndarray:  # one product after another: a batch rounds as each of its rows does
            x = np.repeat(centre[None], len(a), 0)
            for step, direction in zip(a.astype(np.float64).T, directions, strict=True):
                x = x + step[:, None] * direction
            return x.astype(np.float32)

        def run(a: np.ndarray) -> np.ndarray:
            return self.run(moved(a))

        def off(a: np.ndarray) -> float:
            given = a.astype(np.float64)
            (rounded,) = moved(a[None])
            far = [Fraction(0)]
            for j in np.flatnonzero((directions != 0).any(0) | (rounded != centre)):
                value = Fraction(float(centre[j]))
                value += sum((Fraction(x) * Fraction(float(d)) for x, d in zip(given.tolist(), directions[:, j],
                              strict=True)), Fraction(0))  # fmt: skip
                far.append(abs(Fraction(float(rounded[j])) - value))
            return above(max(far))

        return Network(
            prefixed(self.graph, shape, ops),
            prefixed(self.pooled, shape, ops),
            prefixed(self.single, shape, [op.to(torch.float32) for op in ops]),
            prefixed(self.whole, shape, ops),
            run,
            self.float32,
            off,
            moved,
        )

    @property
    def inputs(self) -> int:
        """How many numbers it takes."""
        return math.prod(self.graph.input_shape)

    @property
    def outputs(self) -> int:
        """How many numbers it gives."""
        return math.prod(self.graph.output_shape)


def region_to_query(network: Network, region: Region, unsafe: tuple[Unsafe, ...]) -> tuple[Network, Query]:
    """Give the network and the query that answer whether a region holds an input with an unsafe output."""
    constraints = None if region.rows is None or region.bounds is None else (region.rows, region.bounds)
    query = Query(region.lower, region.upper, unsafe, constraints)
    if region.centre is None or region.directions is None:
        return network, query
    return network.along(region.centre, region.directions), query


def verify(
    network: Network,
    query: Query,
    seconds: float | Deadline = 60.0,
    method: Method = "auto",
    seed: int = 0,
    prove: bool = False,
    float32: bool = True,
    jobs: int = 1,
) -> Verdict:
    """Answer a query within so many seconds, in so many processes where its parts can be divided among them.

    Stages get shares of work (`core.deadline`); the wall clock ends them all, and what was found by then is answered.

    With `prove` an answer `Holds` carries what a certificate needs. Without `float32` it is not asked whether a proof
    also holds for float32, which can cost more than the proof.

    Property: sound. Complete given time, where `method` is auto, split or divide.

    Raises:
        InputError: a query of other inputs or outputs than the network's; a proof by a method that leaves none.
    """
    if prove and method not in _PROVING:
        raise InputError(f"the method {method} leaves no certificate; these do: {', '.join(_PROVING)}")
    if not query.has_exact_weights:
        if prove:
            raise InputError("the property has weights of more digits than float64 holds: no certificate speaks of it")
        query = _with_exact_weights(network, query)
    if network.link != "identity":
        return _through_softmax(network, query, Deadline.of(seconds), method, seed, prove, float32, jobs)
    return _Run(network, query, seconds, method, seed, prove, float32 and network.float32, jobs).answer()


def _through_softmax(
    network: Network, query: Query, deadline: Deadline, method: Method, seed: int, prove: bool, float32: bool, jobs: int
) -> Verdict:
    """Answer of logits what was asked of probabilities.

    For float32, whose softmax rounds and ties, it is claimed only that one class keeps the largest of all. Thresholds
    become polytopes that hold them; where inputs are few and that is not enough, the region is halved.
    """
    must_fit(network, query)
    if prove:
        comparisons_of_logits(query, network.link)  # refuses what no certificate speaks of
    asked = of_logits(query, network.link)
    wide = widened_for_float32(asked, network.outputs)
    if wide is not None and float32 and network.float32 and not prove:
        part = deadline.before(0.5)
        first = _Run(network, replace(query, unsafe=wide), part, method, seed, prove, True, jobs, query).answer()
        if not isinstance(first, Unknown):
            return first
    sets = deadline.run(lambda: polytopes(network.pooled, query, asked.sets))
    none = (Unsafe(np.zeros((1, network.outputs)), np.array([-1.0])),)
    run = _Run(network, replace(query, unsafe=sets or none), deadline, method, seed, prove, False, jobs, query)
    if sets is None:
        return run.unknown()
    if not sets:
        never = 0.0 if asked.never is None else asked.never
        return deadline.run(run.attack_thoroughly) or Holds(never, "softmax", False, run.details())
    few = int((query.upper > query.lower).sum()) <= FEW_INPUTS and method in ("auto", "divide")
    if few and any(conditions.thresholds for conditions in asked.sets):  # halves are nearly all that is ever needed
        violated = deadline.run(lambda: run.attack(8, 20))
        if violated is not None:
            return violated
        part = deadline.before(0.5)
        margin = part.run(
            lambda: halved(network.pooled, query, asked.sets, part, lambda x: run.candidate(x, near=False))
        )
        if run.hit is not None:
            return run.violated("halving")
        if margin is not None and margin > 0:
            return Holds(margin, "halving", False, run.details())
    return run.answer()


def _with_exact_weights(network: Network, query: Query) -> Query:
    """Raise the bounds of a property by what the rounding of its weights can cost over the region."""
    if network.link == "softmax":  # no probability is above 1
        return replace(query, unsafe=tuple(unsafe.relaxed(np.ones(network.outputs)) for unsafe in query.unsafe))
    if network.link != "identity":
        raise InputError("the property has weights of more digits than float64 holds, of log-probabilities: round them")
    shape = (1, *network.graph.input_shape)
    region = Box(torch.from_numpy(query.lower).reshape(shape), torch.from_numpy(query.upper).reshape(shape))
    largest = relax(network.pooled, region, REAL).boxes[-1].magnitude.flatten().numpy()
    if not np.isfinite(largest).all():
        return query  # `answer` says so
    return replace(query, unsafe=tuple(unsafe.relaxed(largest) for unsafe in query.unsafe))


def must_fit(network: Network, query: Query) -> None:
    """Refuse a query of other inputs or outputs than the network's.

    Raises:
        InputError: it is.
    """
    if len(query.lower) != network.inputs:
        raise InputError(f"the region has {len(query.lower)} inputs; the network takes {network.inputs}")
    for unsafe in query.unsafe:
        if unsafe.weights.shape[1] != network.outputs:
            raise InputError(
                f"the property is about {unsafe.weights.shape[1]} outputs; the network gives {network.outputs}"
            )


class _Run:
    def __init__(
        self,
        network: Network,
        query: Query,
        seconds: float | Deadline,
        method: Method,
        seed: int,
        prove: bool,
        float32: bool,
        jobs: int,
        asked: Query | None = None,
    ) -> None:
        self.float32, self.jobs = float32, jobs
        must_fit(network, query)
        self.network, self.query, self.method, self.seed, self.prove = network, query, method, seed, prove
        self.deadline = Deadline.of(seconds)
        self.begin = self.deadline.clock.wall()
        self.proven: Holds | None = None
        self.asked = asked or query  # of the network's own outputs; `query` is of its logits
        self.replay = Replay(self.asked, network.run, network.off)
        self.rows = OutputConstraints(query)
        self.hit: Hit | None = None
        self.best = -math.inf
        self.seen: State | None = None
        self.broken = False  # an exact walk met inputs that no proof can be had for
        shape = (1, *network.graph.input_shape)
        self.region = Box(torch.from_numpy(query.lower).reshape(shape), torch.from_numpy(query.upper).reshape(shape))

    def candidate(self, x: Tensor, near: bool = True) -> Tensor | None:
        """Replay inputs: those that look like counterexamples in float64, or all."""
        tried = near_misses(self.network.graph, self.query, x) if near else x
        if len(tried):
            self.hit = self.replay(tried)
        return torch.from_numpy(self.hit.input) if self.hit is not None else None

    def answer(self) -> Verdict:
        """Answer; when time is up, with what was found by then."""
        found = self.deadline.run(self.sought)
        if found is not None:
            return found
        if self.hit is not None:
            return self.violated("attack")
        return self.proven or self.unknown()

    def sought(self) -> Verdict:
        intervals = relax(self.network.pooled, self.region, REAL)
        if not all(bool(torch.isfinite(box.lower + box.upper).all()) for box in intervals.boxes):
            return Unknown("values of the network pass what float64 can hold", -math.inf, self.details())
        for stage in self.stages():
            verdict = stage()
            if verdict is not None:
                return verdict
            if self.deadline.is_over():
                break
        return self.unknown()

    def unknown(self) -> Unknown:
        why = "time is up" if self.deadline.is_over() else f"the bounds of {self.method} are not tight enough"
        if self.broken:
            why = "real inputs break it, or come within rounding of it; none was seen to in float32"
        if self.replay.impossible:
            why += "; no float32 number lies near the region, so that no counterexample could be replayed"
        return Unknown(why, self.best, self.details())

    def attack(self, restarts: int, steps: int) -> Verdict | None:
        if self.replay.impossible:
            return None
        some = self.deadline.share(QUICK_PGD)
        found = some.run(lambda: descend(self.searched, self.asked, restarts, steps, self.seed))
        if found is not None:
            self.candidate(found.double(), near=self.asked is self.query)
        return self.violated("attack") if self.hit is not None else None

    @cached_property
    def searched(self) -> Graph:
        """The network up to what was asked about, in float32."""
        return self.network.single if self.asked is self.query else flat_output(self.network.whole).to(torch.float32)

    def quick_pgd(self) -> Verdict | None:
        """Most that can be violated is in a few steps from the middle."""
        return self.attack(1, 6)

    @property
    def has_products(self) -> bool:
        return any(isinstance(node.op, Mul) for node in self.network.graph.nodes)

    def attack_thoroughly(self) -> Verdict | None:
        """Try more starts where there are few inputs: it costs less than one more halving."""
        if int((self.query.upper > self.query.lower).sum()) > FEW_INPUTS:
            return self.attack(8, 20)
        if self.replay.impossible:
            return None
        found, tried = sample(self.searched, self.asked, SAMPLES, self.seed, self.deadline.share(SAMPLING))
        self.candidate(found.double(), near=self.asked is self.query)
        starts = max(200 * tried // SAMPLES, 8)  # as dear as sampling was
        return self.violated("sampling") if self.hit is not None else self.attack(starts, 40)

    def stages(self) -> list[Stage]:
        if any(not len(unsafe.bounds) for unsafe in self.query.unsafe):  # every output is unsafe: any input will do
            return [self.quick_pgd]
        free = int((self.query.upper > self.query.lower).sum())
        nodes = self.network.graph.nodes
        values = sum(size_of(node) for node in nodes if isinstance(node.op, Relu | MaxPool2d | Mul))
        few = free <= FEW_INPUTS and values <= FEW_VALUES  # dividing bounds every value of every box
        match self.method:
            case "auto":
                first = [self.quick_pgd]
                if free <= MANY_INPUTS and not self.prove:  # a certificate says nothing of zonotopes
                    first.append(self.zonotope)
                first.append(self.attack_thoroughly)
                if few and self.constraints is None:  # halves of boxes know nothing of linear input constraints
                    half = [partial(self.curved, 0.5)] if not self.prove and is_treated(self.network.graph) else []
                    once, *more = self.dividing()
                    few_parts = [] if self.prove else [lambda: self.split(SOME_PARTS, 0.1)]  # deep networks, few parts
                    return [*first, *half, once, *few_parts, *more]
                treated = is_treated(self.network.graph)
                if self.prove:  # a certificate speaks of McCormick's planes, not of curvature
                    return [*first, self.split, *([lambda: self.divided(1.0)] if treated else [])]
                if treated:
                    return [*first, self.substitution, self.curved]
                # signs are split until none is open; what is left then, and products, is for linear programs
                last = partial(self.walked, "triangle", lps_solved=True) if self.has_products else self.exact
                if self.constraints is not None:  # the corners that splitting tries mostly lie outside of the rows
                    return [*first, self.substitution, lambda: self.split(share=0.5), last]
                return [*first, self.substitution, self.split, last]
            case "substitution":
                return [self.quick_pgd, self.substitution]
            case "curvature":
                if not is_treated(self.network.graph):
                    raise InputError(f"curvature is for polynomials of at most {LARGEST} inputs, degree 2 or more")
                return [self.quick_pgd, self.curved]
            case "ascent":
                return [self.quick_pgd, lambda: self.split(most_parts=len(self.query.unsafe))]
            case "split":
                return [self.quick_pgd, self.split]
            case "divide":
                return [self.quick_pgd, *self.dividing()]
            case "exact":
                return [self.quick_pgd, self.exact]
            case "star":
                return [self.quick_pgd, lambda: self.walked("triangle", lps_solved=True)]
            case "zonotope":
                return [self.quick_pgd, lambda: self.walked("zonotope", lps_solved=False)]
            case "polytope":
                return [self.quick_pgd, lambda: self.walked("polytope", lps_solved=True)]
            case _:  # relaxed
                return [self.quick_pgd, lambda: self.walked("triangle", lps_solved=True, relaxed=1.0)]

    def dividing(self) -> list[Stage]:
        """Both ways to choose an axis: one is often a hundred times better than the other, and which is not known."""
        return [
            lambda: self.divided(0.1, grace=2),
            lambda: self.divided(0.4 if self.prove else 0.85, "trial"),
            lambda: self.divided(1.0),
        ]

    def details(self, **more: float) -> dict[str, float]:
        return {"seconds": round(self.deadline.clock.wall() - self.begin, 3), **more}

    def holds(
        self, margin: float, method: str, deployed: Callable[[], bool], proof: Proof | None = None, **more: float
    ) -> Holds:
        """Say what is proven, of float32 too if that can be shown in time."""
        self.proven = Holds(margin, method, False, self.details(**more), proof)
        float32 = self.float32 and deployed()
        return replace(self.proven, float32=float32, details=self.details(**more))

    def violated(self, method: str) -> Violated:
        assert self.hit is not None
        seen = self.hit
        return Violated(seen.input.astype(np.float64), seen.output, method, self.details(), seen.distance)

    def margin(self, graph: Graph, relaxation: Relaxation) -> float:
        """Bound the slack over the region, with the slopes that are there."""
        rows = self.rows.weights.reshape(1, -1, *graph.output_shape)
        chunk = max(LARGEST_ROWS // max(size_of(node) for node in graph.nodes), 1)
        out = len(graph.nodes) - 1
        found = torch.cat([lower_bounds(relaxation, out, some) for some in rows.split(chunk, 1)], 1) - self.rows.bounds
        return float(self.rows.of_sets(found - 4e-16 * self.rows.bounds.abs()).min())

    def reached(self, arithmetic: Arithmetic) -> tuple[float, State]:
        """Walk a zonotope; its boxes are kept for what comes after."""
        graph = self.network.pooled
        star = star_of_box(self.query, graph.input_shape)
        state = approximate(graph, begin(star), "zonotope", lps_solved=False, arithmetic=arithmetic)
        return least(box_slack(state.star, unsafe) for unsafe in self.query.unsafe), state

    def zonotope(self) -> Verdict | None:
        reached = self.deadline.share(QUICK_PGD).run(lambda: self.reached(REAL))
        if reached is None:
            return None
        margin, self.seen = reached
        self.best = max(self.best, margin)
        return self.holds(margin, "zonotope", self.float32_holds) if margin > 0 else None

    def substituted(self, arithmetic: Arithmetic, state: State | None) -> float:
        graph = self.network.pooled
        known = None if state is None else state.seen
        tighten = partial(tighten_by_crown, until=self.tightening())
        return self.margin(graph, relax(graph, self.region, arithmetic, tighten, known, constraints=self.constraints))

    def tightening(self, share: float = 1.0) -> Deadline:
        """Return until when boxes may be tightened: of the work a share, of the wall's time not all."""
        return replace(self.deadline.share(share), end=self.deadline.before(TIGHTENING).end)

    def float32_holds(self) -> bool:
        if self.seen is None:  # zonotopes are dear for many free inputs
            return self.substituted(FLOAT32, None) > 0
        with np.errstate(invalid="ignore"):  # where float32 may overflow errors are infinite, and bounds no numbers
            margin, state = self.reached(FLOAT32)
        return margin > 0 or self.substituted(FLOAT32, state) > 0

    def substitution(self) -> Verdict | None:
        margin = self.substituted(REAL, self.seen)
        self.best = max(self.best, margin)
        if not margin > 0:
            return None
        return self.holds(margin, "substitution", self.float32_holds)

    def divided(self, share: float, axis_by: AxisBy = "slope", grace: float = 1) -> Verdict | None:
        effort: Effort = "thorough" if axis_by == "trial" else "all" if self.prove else "open"
        until = self.deadline.share(share)
        finish = None
        if axis_by == "trial" and not self.prove:
            task = Task(self.network.graph, self.query, *self.for_signs())
            finish = FallbackSolver(task, until, self.jobs)
        graph = self.network.graph
        plan = Frontier(axis_by, effort, self.prove, finish, grace=grace)
        found = divide(graph, self.query, REAL, until, self.candidate, plan)
        if self.hit is not None:
            return self.violated("divide")
        self.best = max(self.best, found.margin) if found.parts else self.best
        if not found.proven or found.leaves is None:
            return None
        proof = None
        if self.prove and found.bisections is not None:
            proof = Proof(
                self.query.lower, self.query.upper, self.plain_unsafe, "boxes", effort == "thorough", found.bisections
            )
        leaves_, parts = found.leaves, found.parts + (finish.parts if finish else 0)

        def deployed() -> bool:
            return boxes_hold_in_float32(graph, self.query, *leaves_, effort) and (
                finish is None or finish.holds_in_float32()
            )

        return self.holds(found.margin, "divide", deployed, proof, parts=parts)

    @property
    def constraints(self) -> tuple[Tensor, Tensor] | None:
        """The rows that cut the region; certificates of properties speak of all of the box."""
        if self.prove or self.query.constraints is None:
            return None
        return torch.from_numpy(self.query.constraints[0]), torch.from_numpy(self.query.constraints[1])

    @property
    def plain_unsafe(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        return tuple((unsafe.weights, unsafe.bounds) for unsafe in self.query.unsafe)

    def split(self, most_parts: int = 10**9, share: float = 1.0) -> Verdict | None:
        tightened: Tightened = {}
        until = self.deadline.share(share)
        graph, query = self.for_signs()
        tighten = tighten_by_alpha_crown(ASCENT, self.tightening(0.5 * share), tightened if self.prove else None)
        relaxation = relax(graph, self.region, REAL, tighten, multi_neuron=not self.prove, constraints=self.constraints)
        found = split_relus(relaxation, query, until, self.candidate, most_parts)
        if self.hit is not None:
            return self.violated("split")
        self.best = max(self.best, found.margin)
        if not found.proven:
            return None
        method = "ascent" if found.parts <= len(self.query.unsafe) else "split"
        proof = self._proof_by_signs(found, tightened) if self.prove else None
        deployed = partial(self.parts_hold, graph, query, self.region, found.leaves)
        return self.holds(found.margin, method, deployed, proof, parts=found.parts)

    def for_signs(self) -> tuple[Graph, Query]:
        """Conjunctions become ReLUs of their own, but in certificates, which speak of the network alone."""
        if self.prove or all(len(unsafe.bounds) == 1 for unsafe in self.query.unsafe):
            return self.network.graph, self.query
        sets = [(torch.from_numpy(u.weights), torch.from_numpy(u.bounds)) for u in self.query.unsafe]
        reached = tuple(Unsafe(row[None], np.zeros(1)) for row in np.eye(len(sets)))
        return pools_as_relus(with_slack(self.network.graph, sets)), replace(self.query, unsafe=reached)

    def _proof_by_signs(self, found: Outcome, tightened: Tightened) -> Proof:
        leaves = tuple(
            leaf for part in found.leaves for leaf in split_leaves([part], part.unsafe, found.rows[part.unsafe])
        )
        lower, upper = self.query.lower, self.query.upper
        return Proof(lower, upper, self.plain_unsafe, "signs", leaves=leaves, tightened=kept_slopes(tightened))

    def curved(self, share: float = 1.0) -> Verdict | None:
        """Prove a polynomial network by convex functions below it."""
        until = self.deadline.share(share)
        found = prove_by_curvature(self.network.graph, self.query, until, self.candidate, float32=self.float32)
        if self.hit is not None:
            return self.violated("curvature")
        self.best = max(self.best, found.margin)
        if not found.proven:
            return None
        return Holds(found.margin, "curvature", found.deployed, self.details(parts=found.parts))

    def walked(self, rule: Rule, lps_solved: bool, relaxed: float = 0.0) -> Verdict | None:
        star = star_of_box(self.query, self.network.pooled.input_shape)
        found = over_approximate(self.network.pooled, star, self.query, rule, lps_solved, relaxed)
        self.best = max(self.best, found.slack)
        if found.slack > 0:
            details = self.details(lps_solved=found.count.lps_solved, lps_avoided=found.count.lps_avoided)
            return Holds(found.slack, self.method, False, details)
        if found.input is not None:
            self.candidate(found.input.flatten()[None])
        return self.violated(self.method) if self.hit is not None else None

    def exact(self) -> Verdict | None:
        """Walk every pattern. A margin inside the rounding of a leaf decides nothing."""
        star = star_of_box(self.query, self.network.pooled.input_shape)
        walked = Walked()
        try:
            for leaf in leaves(self.network.pooled, star, self.query, self.deadline, walked):
                if not leaf.slack > 0 and leaf.candidate is not None:
                    self.candidate(leaf.candidate.flatten()[None])
                    if self.hit is not None:
                        return self.violated("exact")
        except TimeoutError:
            return None
        details = self.details(leaves=walked.leaves, pruned=walked.pruned, lps_solved=walked.lps_solved)
        if not walked.margin > 0:
            self.best = walked.margin
            self.broken = True
            return None
        return Holds(walked.margin, "exact", False, details)

    def parts_hold(self, graph: Graph, query: Query, region: Box, leaves: tuple[Subproblem, ...]) -> bool:
        deployed = relax(
            graph, region, FLOAT32, tighten_by_alpha_crown(ASCENT, self.tightening()), constraints=self.constraints
        )
        return bound_again(deployed, query, leaves) > 0
