"""Write products of a value and a function of it as one function, whose bounds know that both are of the same value."""

from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Elementwise, ElementwiseAffine, Mul

# x times these functions of x, from the outermost on: exporters write SiLU and Mish so.
_PRODUCTS = {("Sigmoid",): "Silu", ("Tanh", "Softplus"): "Mish"}


def with_joined_functions(graph: Graph) -> Graph:
    """Replace x sigmoid(x) by SiLU, x tanh(softplus(x)) by Mish, x (1 + erf(c x)) by GELU: the same real functions."""
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
        gelu = _gelu(graph, value, inner)
        if gelu is not None:
            return gelu
        while isinstance(inner.op, Elementwise) and not inner.op.parameters:
            names = (*names, inner.op.name)
            if inner.inputs[0] == value and names in _PRODUCTS:
                return Elementwise(_PRODUCTS[names]), (value,)
            inner = graph.nodes[inner.inputs[0]]
    return None


def _gelu(graph: Graph, value: int, inner: Node) -> tuple[Elementwise, tuple[int]] | None:
    """Find k x (1 + erf(c x)), for c and k above 0: exporters write GELU so, with k = 1 or 1/2 before the product."""
    erf = graph.nodes[inner.inputs[0]] if _scale(inner.op, shift=1.0) == 1.0 else None
    if erf is None or erf.op != Elementwise("Erf"):
        return None
    argument = graph.nodes[erf.inputs[0]]
    inverse = _scale(argument.op)
    if inverse is None or not inverse > 0:
        return None
    factor, place = 1.0, value
    if argument.inputs[0] != place:
        before = graph.nodes[place]
        factor, place = _scale(before.op) or 0.0, before.inputs[0] if before.inputs else -1
    if argument.inputs[0] != place or not factor > 0:
        return None
    return Elementwise("Gelu", (inverse, 2 * factor)), (place,)


def _scale(op: object, shift: float = 0.0) -> float | None:
    """Return the number that an operation multiplies every value by, if besides it only adds the shift."""
    if not isinstance(op, ElementwiseAffine) or op.scale.numel() != 1:
        return None
    bias = 0.0 if op.bias is None else float(op.bias.reshape(())) if op.bias.numel() == 1 else None
    return float(op.scale.reshape(())) if bias == shift else None
