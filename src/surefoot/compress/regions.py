"""Linear regions along a segment: exactly where a network's linear pieces begin and end."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, apply, fold
from surefoot.graph.ops import Mul, Relu
from surefoot.graph.passes.pools import pools_as_rectifiers


def breakpoints(graph: Graph, start: Tensor, end: Tensor) -> Tensor:
    """Return all t in [0, 1], 0 and 1 among them, where start + t (end - start) meets the kink of a rectifier.

    Node by node: between the points so far what enters a rectifier is linear, so that its zeros are found by one
    division each. The network is linear between neighbours; neighbours may have the same piece.

    Property: exact, up to rounding in float64.

    Raises:
        InputError: points of another shape than the input, or a network with products.

    Reference: Hanin and Rolnick 2019.
    """
    if start.shape != graph.input_shape or end.shape != graph.input_shape:
        raise InputError(f"points of shapes {tuple(start.shape)}, {tuple(end.shape)}; inputs are {graph.input_shape}")
    if any(isinstance(node.op, Mul) for node in graph.nodes):
        raise InputError("a network with products is not piecewise linear")
    graph = pools_as_rectifiers(graph.to(torch.float64))
    start, end = start.double(), end.double()
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for node in graph.nodes:
        if isinstance(node.op, Relu):
            prefix = Graph(graph.nodes[: node.inputs[0] + 1])
            x = start + t.reshape(-1, *(1 for _ in start.shape)) * (end - start)
            z = fold(prefix, x, lambda n, inputs: apply(n.op, inputs))[node.inputs[0]].flatten(1)
            left, right = z[:-1], z[1:]
            piece, unit = ((left < 0) & (right > 0) | (left > 0) & (right < 0)).nonzero(as_tuple=True)
            share = left[piece, unit] / (left[piece, unit] - right[piece, unit])
            met = t[piece] + share * (t[piece + 1] - t[piece])
            t = torch.cat([t, met]).unique()
    return t


def most_regions(inputs: int, widths: Sequence[int]) -> int:
    """Bound the number of linear regions of a dense network: sum over j of the products of C(n_l, j_l).

    j_l <= min(inputs, n_1 - j_1, ..., n_(l-1) - j_(l-1), n_l): how many units of each layer are inactive.

    >>> most_regions(1, [3]), most_regions(2, [3]), most_regions(2, [4, 4])
    (4, 7, 121)

    Reference: Serra et al. 2018, theorem 1.
    """
    return _most(inputs, tuple(widths))


def _most(dimension: int, widths: tuple[int, ...]) -> int:
    if not widths:
        return 1
    first, rest = widths[0], widths[1:]
    return sum(math.comb(first, j) * _most(min(dimension, first - j), rest) for j in range(min(dimension, first) + 1))
