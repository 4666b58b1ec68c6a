"""Fewer affine operations for the same function: fold scales into layers, join layers, drop what does nothing."""

from typing import cast

import torch
from torch import Tensor

from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Affine, Conv2d, ElementwiseAffine, Gather, Linear, Op, Reshape


def fused(graph: Graph) -> Graph:
    """Join each affine operation with the one before it where their composition is one operation of the list.

    Batch normalisation and constants disappear into convolutions and linear layers, reshapes into each other, and what
    changes nothing is dropped. The same function in real arithmetic; weights are rounded once, so proofs are made about
    the graph as it was read, not about this one.
    """
    while True:
        smaller = _once(graph)
        if len(smaller.nodes) == len(graph.nodes):
            return smaller
        graph = smaller


def _once(graph: Graph) -> Graph:
    users = [0] * len(graph.nodes)
    for node in graph.nodes:
        for i in node.inputs:
            users[i] += 1
    builder = GraphBuilder(graph.input_shape, graph.nodes[0].name)
    new = {0: 0}
    for at, node in enumerate(graph.nodes[1:], 1):
        if isinstance(node.op, Affine) and _does_nothing(node, graph):
            new[at] = new[node.inputs[0]]
            continue
        last = node.inputs[0]
        before = builder.nodes[new[last]]
        if isinstance(node.op, Affine) and isinstance(before.op, Affine) and users[last] == 1:
            joined = _joined(before, node)
            if joined is not None:
                new[at] = builder.add(joined, *before.inputs, name=node.name)
                continue
        new[at] = builder.add(node.op, *(new[i] for i in node.inputs), name=node.name)
    return builder.build(new[len(graph.nodes) - 1])


def _does_nothing(node: Node, graph: Graph) -> bool:
    op, given = node.op, graph.nodes[node.inputs[0]].shape
    if isinstance(op, ElementwiseAffine):
        return bool((op.scale == 1).all()) and (op.bias is None or not bool(op.bias.any()))
    if isinstance(op, Reshape):
        return op.target == given
    if isinstance(op, Gather):
        return node.shape == given and bool((op.index.flatten() == torch.arange(op.index.numel())).all())
    return False


def _joined(first: Node, then: Node) -> Op | None:
    """Compose two affine operations, or None where that is no single one, or a dearer one."""
    match first.op, then.op:
        case Reshape(), Reshape():
            return then.op
        case Gather() as a, Reshape() as b:
            return Gather(a.index.reshape(b.target))
        case Gather() as a, Gather() as b:
            flat = torch.cat([a.index.flatten(), torch.tensor([-1])])  # -1 takes the last: nothing
            return Gather(flat[b.index])
        case ElementwiseAffine() as a, ElementwiseAffine() as b:
            return ElementwiseAffine(b.scale * a.scale, _sum(None if a.bias is None else b.scale * a.bias, b.bias))
        case Linear() as a, Linear() as b if (
            b.weight.shape[0] * a.weight.shape[1] <= a.weight.numel() + b.weight.numel()
        ):
            return Linear(b.weight @ a.weight, _sum(None if a.bias is None else b.weight @ a.bias, b.bias))
        case Linear() as a, ElementwiseAffine() as b if _per_row(b, a.weight.shape[0]):
            scale = torch.broadcast_to(b.scale.flatten(), (a.weight.shape[0],))
            bias = None if b.bias is None else torch.broadcast_to(b.bias.flatten(), scale.shape)
            return Linear(scale[:, None] * a.weight, _sum(None if a.bias is None else scale * a.bias, bias))
        case ElementwiseAffine() as a, Linear() as b if _per_row(a, b.weight.shape[1]):
            scale = torch.broadcast_to(a.scale.flatten(), (b.weight.shape[1],))
            bias = None if a.bias is None else b.weight @ torch.broadcast_to(a.bias.flatten(), scale.shape)
            return Linear(b.weight * scale, _sum(bias, b.bias))
        case Conv2d() as a, ElementwiseAffine() as b if _per_channel(b):
            scale = _channels(b.scale, a.weight.shape[0])
            bias = None if b.bias is None else _channels(b.bias, a.weight.shape[0])
            bias = _sum(None if a.bias is None else scale * a.bias, bias)
            return Conv2d(scale[:, None, None, None] * a.weight, bias, a.stride, a.padding, a.dilation, a.groups)
        case ElementwiseAffine() as a, Conv2d() as b if (
            b.groups == 1 and _per_channel(a) and (a.bias is None or not any(b.padding))
        ):
            scale = _channels(a.scale, b.weight.shape[1])
            weight = b.weight * scale[None, :, None, None]
            bias = None if a.bias is None else b.weight.sum((2, 3)) @ _channels(a.bias, b.weight.shape[1])
            return Conv2d(weight, _sum(bias, b.bias), b.stride, b.padding, b.dilation, b.groups)
        case _:
            return None


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _constants(op: ElementwiseAffine) -> list[Tensor]:
    return [op.scale] if op.bias is None else [op.scale, cast(Tensor, op.bias)]


def _per_row(op: ElementwiseAffine, width: int) -> bool:
    """Whether each element of the last axis has one factor, whatever stands before."""
    return all(c.numel() == 1 or (c.numel() == width and c.shape[-1] == width) for c in _constants(op))


def _per_channel(op: ElementwiseAffine) -> bool:
    return all(c.numel() == 1 or (c.dim() >= 3 and c.shape[-1] == c.shape[-2] == 1) for c in _constants(op))


def _channels(constant: Tensor, channels: int) -> Tensor:
    return torch.broadcast_to(constant.flatten(), (channels,))
