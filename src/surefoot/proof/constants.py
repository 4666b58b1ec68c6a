"""What the rounding of constants by reading can change: a file divides by 3, and the graph multiplies by fl(1 / 3)."""

import numpy as np
import torch
from torch import Tensor

from surefoot.graph.graph import Graph
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Elementwise,
    ElementwiseAffine,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Softmax,
)

UNIT = 2.0**-51  # relative: a sum, a root and a quotient lose less than 2.5 times 2^-53
LEAST = 1e-300  # absolute: more than a few of the smallest float64
SAFE = 1 + 1e-6  # of sums and products of numbers that are not negative, fewer than 1e9 in turn


def has_rounded(graph: Graph) -> bool:
    """Say whether reading rounded a constant of a graph."""
    return any(_rounded(node.op) for node in graph.nodes)


def reading_error(graph: Graph, boxes: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Bound |f_k(x) - g_k(x)| over boxes (lower, upper) of all nodes of g, flat: f the file's function, g the graph's.

    |(W + D)(x + e) - W x| <= |W| |e| + |D| (|x| + |e|), with |D| <= u |W|; ReLUs lengthen no error, a function by at
    most its steepest slope.

    Property: sound in real arithmetic; 0 where no constant was rounded; infinite, or not a number, for a softmax.
    """
    if not has_rounded(graph):
        return np.zeros(int(np.prod(graph.output_shape)))
    sizes = [
        torch.from_numpy(np.maximum(np.abs(low), np.abs(high))).double().reshape(1, *node.shape)
        for node, (low, high) in zip(graph.nodes, boxes, strict=True)
    ]
    errors: list[Tensor] = [torch.zeros_like(sizes[0])]
    for at, node in enumerate(graph.nodes[1:], 1):
        given, size = [errors[i] for i in node.inputs], [sizes[i] for i in node.inputs]
        match node.op:
            case Affine() as op:
                error = op.absolute(given[0])
                if _rounded(op):
                    reach, bias = size[0] + given[0], op.broadcast_bias()
                    error = error + UNIT * (op.absolute(reach) + (0.0 if bias is None else bias.abs()))
                    error = error + LEAST * (1 + reach.sum())
            case Relu():
                error = given[0]
            case Elementwise() as op:
                low, high = (torch.from_numpy(end).double().reshape(sizes[at].shape) for end in boxes[node.inputs[0]])
                rise = op.function.steepest(low - SAFE * given[0] - LEAST, high + SAFE * given[0] + LEAST)
                error = torch.where(given[0] == 0, 0.0, rise * given[0] + LEAST)
            case MaxPool2d():
                error = given[0].max().expand(sizes[at].shape)
            case Add():
                error = given[0] + given[1]
            case Mul():
                error = size[0] * given[1] + size[1] * given[0] + given[0] * given[1]
                error = torch.where((given[0] == 0) & (given[1] == 0), 0.0, error + LEAST)
            case Concat() as op:
                error = torch.cat(given, op.axis + 1)
            case Softmax() | Input():
                error = torch.full_like(sizes[at], torch.inf)
        errors.append(error)
    return np.asarray(errors[-1].flatten().numpy() * SAFE)


def _rounded(op: object) -> bool:
    return isinstance(op, Linear | ElementwiseAffine) and bool(op.rounded)
