"""Several networks as one graph: inputs side by side, perhaps shared, and outputs one after another."""

import math
from collections.abc import Sequence

import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Concat, Gather, Mul, Op, Reshape
from surefoot.graph.same import same_op


def joined(
    parts: Sequence[tuple[Graph, Sequence[int]]],
    inputs: int,
    with_inputs: bool = False,
    products: Sequence[tuple[int, int]] = (),
) -> Graph:
    """Return the graph of x -> (f(x[i]), g(x[j]), ...) for networks f, g, ... and their places i, j, ... in a flat x.

    `with_inputs`: x itself follows; then `products` of two of all these, by their places. Outputs are flat. What two
    networks compute alike of the same inputs is computed once: as far as they are equal, no bound of their difference
    is lost.

    >>> from surefoot.graph.graph import evaluate
    >>> from surefoot.graph.ops import Relu
    >>> builder = GraphBuilder((2,))
    >>> relu = builder.build(builder.add(Relu(), 0))
    >>> evaluate(joined([(relu, [0, 1]), (relu, [1, 1])], 2), torch.tensor([[-1.0, 2.0]]))
    tensor([[0., 2., 2., 2.]])

    Raises:
        InputError: a network that ends in a softmax.
    """
    builder = _Sharing((inputs,))
    ends = []
    for number, (graph, places) in enumerate(parts):
        index = torch.as_tensor(list(places), dtype=torch.int64).reshape(graph.input_shape)
        new = {0: builder.add(Gather(index), 0)}
        for at, node in enumerate(graph.nodes[1:], 1):
            new[at] = builder.add(node.op, *(new[i] for i in node.inputs), name=f"{number}.{node.name}")
        ends.append(builder.add(Reshape((math.prod(graph.output_shape),)), new[len(graph.nodes) - 1]))
    if with_inputs:
        ends.append(0)
    last = ends[0] if len(ends) == 1 else builder.add(Concat(0), *ends)
    if products:
        factors = (builder.add(Gather(torch.tensor(places)), last) for places in zip(*products, strict=True))
        last = builder.add(Concat(0), last, builder.add(Mul(), *factors))
    return builder.build(last)


class _Sharing(GraphBuilder):
    """Collects nodes, each of which is there once."""

    def add(self, op: Op, *inputs: int, name: str = "") -> int:
        for place, node in enumerate(self.nodes):
            if node.inputs == inputs and same_op(node.op, op):
                return place
        return super().add(op, *inputs, name=name)
