"""Networks in exact rational arithmetic: the judge of bounds that are closer than float64 computes."""

import math
from fractions import Fraction

import numpy as np
import torch

from surefoot.graph.graph import Graph, Node
from surefoot.graph.ops import Add, Affine, Concat, MaxPool2d, Mul, Relu


def values_of(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    """Return the values of every node at an input, as flat arrays of fractions."""
    values = [np.array([Fraction(v) for v in np.ravel(x)], dtype=object)]
    for node in graph.nodes[1:]:
        values.append(_values(graph, node, [values[i] for i in node.inputs]))
    return values


def _values(graph: Graph, node: Node, given: list[np.ndarray]) -> np.ndarray:
    shape = graph.nodes[node.inputs[0]].shape
    match node.op:
        case Affine():
            # the image of one unit is one weight, or 0: nothing is rounded
            units = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
            matrix = node.op.linear(units).flatten(1).T.numpy()
            bias = node.op.broadcast_bias()
            bias = torch.zeros(node.shape) if bias is None else torch.broadcast_to(bias, node.shape)
            out = np.array([Fraction(v) for v in bias.flatten().tolist()], dtype=object)
            for i, row in enumerate(matrix):
                for j in np.flatnonzero(row):
                    out[i] += Fraction(row[j]) * given[0][j]
            return out
        case Relu():
            return np.array([max(v, Fraction(0)) for v in given[0]], dtype=object)
        case MaxPool2d():
            windows = node.op.windows(shape).tolist()
            return np.array([max(given[0][j] for j in window if j >= 0) for window in windows], dtype=object)
        case Add():
            return given[0] + given[1]
        case Mul():
            return given[0] * given[1]
        case Concat():
            parts = [x.reshape(graph.nodes[i].shape) for i, x in zip(node.inputs, given, strict=True)]
            return np.concatenate(parts, node.op.axis).ravel()
        case _:
            raise AssertionError(node.op)
