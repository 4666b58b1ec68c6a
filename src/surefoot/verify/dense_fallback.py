"""Prove boxes that bisection is slow on by ReLU splitting: near the least margin boxes shrink for long.

A box that dense bisection leaves open has few ReLUs whose sign is not certain. With bounds tightened by slopes that are
found for each of them most such boxes are proven at once, others in a few splits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import FLOAT32, REAL
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Relu
from surefoot.reach.alpha_crown import ALPHA_STEPS, tighten_by_alpha_crown
from surefoot.reach.dense import DenseNetwork
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.query import Query
from surefoot.verify.branch_and_bound import Replay
from surefoot.verify.refinement import Record, Refinement, again
from surefoot.verify.relu_splitting import prove_by_relu_splitting
from surefoot.verify.relu_subproblems import Subproblem, bound_again

STEPS = 1  # of ascent for each hidden value: more cost more than they save
SUBPROBLEMS = 200  # of a box: rather bisect it than split it further


@dataclass(frozen=True, eq=False)
class ProvenBox:
    """What showed a box to be safe: parts that bounded its hidden values, and subproblems by signs."""

    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    known: Mapping[int, Box]
    record: Record
    leaves: tuple[Subproblem, ...]
    margin: float
    subproblems: int


@dataclass(eq=False)
class DenseFallback:
    """ReLU splitting of boxes, for a graph that begins with a dense network and writes conjunctions as ReLUs."""

    graph: Graph
    query: Query
    network: DenseNetwork
    until: Deadline

    def prove(
        self, low: Float[Tensor, " d"], high: Float[Tensor, " d"], known: Float[Tensor, "2 M"], replay: Replay
    ) -> ProvenBox | None:
        """Prove a box of which bounds of all hidden values are known; None where that takes too many subproblems.

        Property: a margin above 0 is proven in real arithmetic.
        """
        boxes = self._by_node(known)
        record: Record = {}
        tighten = Refinement(self.until, tighten_by_alpha_crown(ALPHA_STEPS, self.until), steps=STEPS, record=record)
        relaxation = relax(self.graph, self._region(low, high), REAL, tighten, boxes)
        result = prove_by_relu_splitting(relaxation, self.query, self.until, replay, SUBPROBLEMS)
        if not result.proven:
            return None
        return ProvenBox(low, high, boxes, record, result.leaves, result.margin, result.subproblems)

    def holds_in_float32(self, proven: ProvenBox) -> bool:
        """Whether the same shows it for float32 too; its known bounds must hold for float32."""
        tighten = again(proven.record, partial(tighten_by_crown, until=self.until))
        relaxation = relax(self.graph, self._region(proven.low, proven.high), FLOAT32, tighten, proven.known)
        return bound_again(relaxation, self.query, proven.leaves) > 0

    def _region(self, low: Tensor, high: Tensor) -> Box:
        shape = (1, *self.graph.input_shape)
        return Box(low.reshape(shape), high.reshape(shape))

    def _by_node(self, known: Tensor) -> dict[int, Box]:
        """Say what is known of hidden values of the nodes that enter the first ReLUs."""
        entering = [node.inputs[0] for node in self.graph.nodes if isinstance(node.op, Relu)]
        made = {}
        for at, place in zip(entering, self.network.places, strict=False):
            shape = (1, *self.graph.nodes[at].shape)
            made[at] = Box(known[0, place].reshape(shape), known[1, place].reshape(shape))
        return made
