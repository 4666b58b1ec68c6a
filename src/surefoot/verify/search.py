"""The search for one verdict: what is known so far of a query; `verify.stages` add to it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.memory import within_memory
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Elementwise, MaxPool2d, Mul, Relu
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.slack import with_slack
from surefoot.graph.passes.softmax import flat_output
from surefoot.proof.certificate import Proof
from surefoot.reach.dense import DenseNetwork, dense_network_of
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.reference import Reference, has_reference
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import Limits
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.spec.replay import Counterexample, Replay
from surefoot.verify.curved import is_treated
from surefoot.verify.fallback import near_misses
from surefoot.verify.hull_splitting import may_use_hulls
from surefoot.verify.input_splitting import (
    OutputConstraints,
)
from surefoot.verify.joined_pair import JoinedPair, joined_pair_of
from surefoot.verify.large import is_large, reference_of
from surefoot.verify.network import Network, must_fit
from surefoot.verify.progress import Progress, begin_stage, listening

FEW_INPUTS = 20  # up to so many free inputs, splitting inputs is tried before splitting ReLUs
FEW_VALUES = 2000  # of ReLUs, functions, pools and products
TIGHTENING = 0.8  # of the wall's time: what is tightened must still be bounded

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
        with listening(self._hear):
            begin_stage("preparation", self.best)  # of a large network: the values at the middle of the region
            is_finite = self.is_finite()
        if not is_finite:
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

    def tightening(self, share: float = 1.0) -> Deadline:
        """Return until when boxes may be tightened: of the work a share, of the wall's time not all."""
        return replace(self.deadline.share(share), end=self.deadline.before(TIGHTENING).end)

    @cached_property
    def dense(self) -> DenseNetwork | None:
        """The network as a dense one, if it is one."""
        return dense_network_of(self.network.graph)

    @property
    def may_split_densely(self) -> bool:
        """Whether `split_inputs_of_dense` answers what is asked: it leaves no certificate."""
        return self.dense is not None and self.constraints is None and not self.prove

    @cached_property
    def pair(self) -> JoinedPair | None:
        """Two dense networks, if it is those side by side and their difference is asked about, in real arithmetic."""
        is_asked = self.constraints is None and not self.prove and not self.float32
        return joined_pair_of(self.network.graph, self.query) if is_asked else None

    @property
    def may_use_hulls(self) -> bool:
        """Whether `split_relus_by_hulls` answers what is asked: it leaves no certificate."""
        return self.may_split_densely and self.dense is not None and may_use_hulls(self.dense, self.query)

    @property
    def constraints(self) -> Limits | None:
        """The linear input constraints, or the ball; certificates of properties speak of all of the box."""
        return None if self.prove else self.query.inputs.limits

    @property
    def plain_unsafe(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """The unsafe sets as a certificate has them."""
        return tuple((unsafe.weights, unsafe.bounds) for unsafe in self.query.unsafe)

    def with_slack_relus(self) -> tuple[Graph, Query]:
        """Conjunctions become ReLUs of their own, but in certificates, which speak of the network alone."""
        if self.prove or all(len(unsafe.bounds) == 1 for unsafe in self.query.unsafe):
            return self.network.graph, self.query
        sets = [(torch.from_numpy(u.weights), torch.from_numpy(u.bounds)) for u in self.query.unsafe]
        reached = tuple(Unsafe(row[None], np.zeros(1)) for row in np.eye(len(sets)))
        return pools_as_relus(with_slack(self.network.graph, sets)), replace(self.query, unsafe=reached)


def _finite(boxes: Sequence[Box]) -> bool:
    return all(bool(torch.isfinite(box.lower + box.upper).all()) for box in boxes)
