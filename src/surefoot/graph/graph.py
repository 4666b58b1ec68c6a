"""A network as a value: operations in order, each naming those whose results it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar, assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Elementwise,
    ElementwiseAffine,
    Gather,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    Relu,
    Reshape,
    Shape,
    Softmax,
)

V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: what it is, whose results it takes (places in the graph), the shape it gives (without batch)."""

    name: str
    op: Op
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which each comes after its inputs; the first is the input, the last the output.

    Made by `GraphBuilder`, which checks shapes. Immutable: a pass makes a new one.
    """

    nodes: tuple[Node, ...]

    @property
    def input_shape(self) -> Shape:
        """The shape of one input."""
        return self.nodes[0].shape

    @property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self.nodes[-1].shape

    def to(self, dtype: torch.dtype) -> "Graph":
        """Return the graph with constants of another type."""
        return Graph(tuple(replace(node, op=node.op.to(dtype)) for node in self.nodes))

    def parameters(self) -> int:
        """Count the weights."""
        return sum(
            value.numel()
            for node in self.nodes
            for value in (
                getattr(node.op, field.name) for field in fields(node.op)
            )  # not what an operation keeps besides
            if isinstance(value, Tensor) and value.is_floating_point()
        )


class GraphBuilder:
    """Collects nodes; gives each its shape, or says which does not fit."""

    def __init__(self, input_shape: Shape, name: str = "input") -> None:
        if not all(side > 0 for side in input_shape):
            raise InputError(f"an input of shape {input_shape} holds no value")
        self.nodes: list[Node] = [Node(name, Input(), (), tuple(input_shape))]

    @classmethod
    def of(cls, graph: "Graph") -> "GraphBuilder":
        """Begin with all nodes of a graph, in their places.

        >>> builder = GraphBuilder((2,))
        >>> graph = builder.build(builder.add(Relu(), 0))
        >>> more = GraphBuilder.of(graph)
        >>> len(more.build(more.add(Relu(), 1)).nodes)
        3
        """
        builder = cls(graph.input_shape, graph.nodes[0].name)
        builder.nodes += graph.nodes[1:]
        return builder

    def add(self, op: Op, *inputs: int, name: str = "") -> int:
        """Add a node; return its place.

        Raises:
            InputError: the inputs' shapes do not fit the operation.
        """
        name = name or f"{type(op).__name__.lower()}_{len(self.nodes)}"
        try:
            shape = _shape(op, [self.nodes[i].shape for i in inputs])
        except InputError as error:
            raise InputError(f"node {name!r}: {error}") from error
        self.nodes.append(Node(name, op, tuple(inputs), shape))
        return len(self.nodes) - 1

    def build(self, output: int | None = None) -> Graph:
        """Finish: what does not lead to the output is dropped."""
        last = len(self.nodes) - 1 if output is None else output
        wanted = {0, last}
        for place in range(last, 0, -1):
            if place in wanted:
                wanted.update(self.nodes[place].inputs)
        kept = sorted(wanted)
        new = {old: at for at, old in enumerate(kept)}
        nodes = [replace(self.nodes[old], inputs=tuple(new[i] for i in self.nodes[old].inputs)) for old in kept]
        for node in nodes[:-1]:
            if isinstance(node.op, Softmax):
                raise InputError(f"node {node.name!r}: a softmax is read only as the last operation")
        return Graph(tuple(nodes))


def _shape(op: Op, given: Sequence[Shape]) -> Shape:
    match op:
        case Linear() | Conv2d() | ElementwiseAffine() | Gather() | Reshape() | MaxPool2d():
            return op.shape(given[0])
        case Relu() | Softmax():
            return given[0]
        case Elementwise():
            assert op.function  # which is refused if there is none
            return given[0]
        case Add() | Mul():
            if given[0] != given[1]:
                raise InputError(f"shapes {given[0]} and {given[1]} differ")
            return given[0]
        case Concat():
            first = given[0]
            for other in given:
                if len(other) != len(first) or any(
                    a != b for axis, (a, b) in enumerate(zip(first, other, strict=True)) if axis != op.axis
                ):
                    raise InputError(f"shapes {first} and {other} cannot be joined along axis {op.axis}")
            return (*first[: op.axis], sum(shape[op.axis] for shape in given), *first[op.axis + 1 :])
        case Input():
            raise InputError("a graph has one input")
        case _:
            assert_never(op)


def fold(graph: Graph, x: V, rule: Callable[[Node, list[V]], V]) -> list[V]:
    """Give every node a value: x to the input, rule(node, values of its inputs) to the others, in order."""
    values = [x]
    for node in graph.nodes[1:]:
        values.append(rule(node, [values[i] for i in node.inputs]))
    return values


def apply(op: Op, values: Sequence[Float[Tensor, " n *_"]]) -> Float[Tensor, " n *out"]:
    """Compute one operation on batches (n, *shape): what it means."""
    match op:
        case Affine():
            return op(values[0])
        case Relu():
            return values[0].clamp(min=0)
        case Elementwise():
            return op.function.value(values[0])
        case MaxPool2d():
            padded = F.pad(values[0], op.padding, value=-torch.inf)
            return F.max_pool2d(padded, op.kernel, op.stride, 0, op.dilation)
        case Add():
            return values[0] + values[1]
        case Mul():
            return values[0] * values[1]
        case Concat():
            return torch.cat(list(values), op.axis + 1)
        case Softmax():
            return values[0].log_softmax(-1) if op.log else values[0].softmax(-1)
        case Input():
            raise InputError("the input is given, not computed")
        case _:
            assert_never(op)


def evaluate(graph: Graph, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
    """Compute outputs (n, *output shape) for inputs (n, *input shape), in x's type, which is to be the graph's.

    Raises:
        InputError: inputs of another shape.
    """
    if tuple(x.shape[1:]) != graph.input_shape:
        raise InputError(f"the network takes inputs of shape {graph.input_shape}, given {tuple(x.shape[1:])}")
    last = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    values: dict[int, Tensor] = {0: x}
    for at, node in enumerate(graph.nodes[1:], 1):
        values[at] = apply(node.op, [values[i] for i in node.inputs])
        for i in set(node.inputs):  # what nobody needs any more is let go: a deep network's maps do not pile up
            if last[i] == at:
                del values[i]
    return values[len(graph.nodes) - 1]
