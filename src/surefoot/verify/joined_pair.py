"""Two dense networks side by side in one graph, as a question about their difference."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from surefoot.core.deadline import Deadline
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Concat, Gather, Reshape
from surefoot.reach.dense import DenseNetwork, dense_network_of
from surefoot.reach.difference import DensePair
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.branch_and_bound import Replay
from surefoot.verify.dense_splitting import DenseResult, prove_dense


@dataclass(frozen=True, eq=False)
class JoinedPair:
    """Two dense networks f, g of one layout, and what is asked of (f, f - g)."""

    pair: DensePair
    query: Query

    def prove(self, seconds: float | Deadline, replay: Replay, most_subproblems: int = 10**9) -> DenseResult:
        """Bisect boxes until each is proven or one holds a counterexample.

        Property: sound in real arithmetic.
        """
        return prove_dense(self.pair, self.query, seconds, replay, False, most_subproblems)


def joined_pair_of(graph: Graph, query: Query) -> JoinedPair | None:
    """Read a graph of `graph.passes.joined` as two networks of the same inputs, and the query as one of differences.

    None if it is another graph, or if no row of the query is about a difference alone, or one cannot be written as of
    differences without rounding.
    """
    last = graph.nodes[-1]
    if not isinstance(last.op, Concat) or len(last.inputs) != 2:
        return None
    one, two = (_branch(graph, at) for at in last.inputs)
    pair = None if one is None or two is None else DensePair.of(one, two)
    if pair is None:
        return None
    unsafe = [_of_differences(part, len(pair.biases[-1])) for part in query.unsafe]
    kept = [part for part in unsafe if part is not None]
    k = len(pair.biases[-1])
    if len(kept) < len(unsafe) or not any((~part.weights[:, :k].any(1) & part.weights.any(1)).any() for part in kept):
        return None
    return JoinedPair(pair, replace(query, unsafe=tuple(kept)))


def _branch(graph: Graph, at: int) -> DenseNetwork | None:
    """Read what leads to a node as a dense network of all inputs in their order."""
    chain = []
    while at:
        node = graph.nodes[at]
        if len(node.inputs) != 1:
            return None
        chain.append(node)
        (at,) = node.inputs
    builder, last = GraphBuilder(graph.input_shape), 0
    size = graph.input_shape[0]
    for node in reversed(chain):
        op = node.op
        if isinstance(op, Gather):
            if node.inputs != (0,) or not torch.equal(op.index.flatten(), torch.arange(size)):
                return None
            op = Reshape(node.shape)
        last = builder.add(op, last)
    return dense_network_of(builder.build(last))


def _of_differences(unsafe: Unsafe, k: int) -> Unsafe | None:
    """Write rows F f + G g <= b as (F + G) f - G (f - g) <= b, if that rounds nothing."""
    first, second = unsafe.weights[:, :k], unsafe.weights[:, k:]
    both = first + second
    exact = np.array_equal(both - first, second) and np.array_equal(both - second, first)
    return Unsafe(np.concatenate([both, -second], 1), unsafe.bounds) if exact else None
