"""Put operations before a network: to speak of its inputs in other coordinates."""

from collections.abc import Sequence

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Op, Shape


def prefixed(graph: Graph, input_shape: Shape, ops: Sequence[Op]) -> Graph:
    """Return the graph after a chain of operations that starts from an input of the given shape.

    Raises:
        InputError: the chain does not end in the graph's input shape.
    """
    builder = GraphBuilder(input_shape)
    last = 0
    for op in ops:
        last = builder.add(op, last)
    new = {0: last}
    for at, node in enumerate(graph.nodes[1:], 1):
        new[at] = builder.add(node.op, *(new[i] for i in node.inputs), name=node.name)
    return builder.build(new[len(graph.nodes) - 1])
