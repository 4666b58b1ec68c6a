"""Write products of a value and a function of it as one function, whose bounds know that both are of the same value."""

from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Elementwise, Mul

# x times these functions of x, from the outermost on: exporters write SiLU and Mish so.
_PRODUCTS = {("Sigmoid",): "Silu", ("Tanh", "Softplus"): "Mish"}


def with_joined_functions(graph: Graph) -> Graph:
    """Replace x sigmoid(x) by SiLU, and x tanh(softplus(x)) by Mish: the same function in real arithmetic."""
    found = {at: joined for at, node in enumerate(graph.nodes) if (joined := _joined(graph, node)) is not None}
    if not found:
        return graph
    builder = GraphBuilder(graph.input_shape, graph.nodes[0].name)
    for at, node in enumerate(graph.nodes[1:], 1):  # every node keeps its place until `build` drops what is not needed
        op, inputs = found.get(at, (node.op, node.inputs))
        builder.add(op, *inputs, name=node.name)
    return builder.build()


def _joined(graph: Graph, node: Node) -> tuple[Elementwise, tuple[int]] | None:
    if not isinstance(node.op, Mul):
        return None
    for value, other in (node.inputs, node.inputs[::-1]):
        names: tuple[str, ...] = ()
        inner = graph.nodes[other]
        while isinstance(inner.op, Elementwise) and not inner.op.parameters:
            names = (*names, inner.op.name)
            if inner.inputs[0] == value and names in _PRODUCTS:
                return Elementwise(_PRODUCTS[names]), (value,)
            inner = graph.nodes[inner.inputs[0]]
    return None
