"""Two networks of one input as one graph, which gives their difference: whatever bounds graphs bounds it."""

import torch

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, ElementwiseAffine


def difference_of(first: Graph, second: Graph) -> Graph:
    """Return the graph of first(x) - second(x).

    Raises:
        InputError: networks of different inputs or outputs.
    """
    if first.input_shape != second.input_shape or first.output_shape != second.output_shape:
        raise InputError(
            f"networks from {first.input_shape} to {first.output_shape} and from {second.input_shape} to "
            f"{second.output_shape} cannot be compared"
        )
    builder = GraphBuilder(first.input_shape, first.nodes[0].name)
    ends = []
    for graph, name in ((first, "first"), (second, "second")):
        places = {0: 0}
        for at, node in enumerate(graph.nodes[1:], 1):
            places[at] = builder.add(node.op, *(places[i] for i in node.inputs), name=f"{name}.{node.name}")
        ends.append(places[len(graph.nodes) - 1])
    negative = builder.add(ElementwiseAffine(torch.tensor(-1.0, dtype=torch.float64)), ends[1], name="negative")
    return builder.build(builder.add(Add(), ends[0], negative, name="difference"))
