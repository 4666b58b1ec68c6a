"""Linear regions along a segment: exactly where a network's linear regions begin and end."""

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from surefoot.compress.stability import Stability
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, apply, fold
from surefoot.graph.ops import Elementwise, Mul, Relu
from surefoot.graph.passes.pools import pools_as_relus


def breakpoints(graph: Graph, start: Tensor, end: Tensor) -> Tensor:
    """Return all t in [0, 1], 0 and 1 among them, where start + t (end - start) meets the kink of a ReLU.

    Node by node: between the points so far what enters a ReLU is linear, so that its zeros are found by one
    division each. The network is linear between neighbours; neighbours may lie in one region.

    Property: exact, up to rounding in float64.

    Raises:
        InputError: points of another shape than the input, or a network with products or smooth functions.

    Reference: Hanin and Rolnick 2019.
    """
    if start.shape != graph.input_shape or end.shape != graph.input_shape:
        raise InputError(f"points of shapes {tuple(start.shape)}, {tuple(end.shape)}; inputs are {graph.input_shape}")
    if any(isinstance(node.op, Mul | Elementwise) for node in graph.nodes):
        raise InputError("a network with products or smooth functions is not piecewise linear")
    graph = pools_as_relus(graph.to(torch.float64))
    start, end = start.double(), end.double()
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for node in graph.nodes:
        if isinstance(node.op, Relu):
            prefix = Graph(graph.nodes[: node.inputs[0] + 1])
            x = start + t.reshape(-1, *(1 for _ in start.shape)) * (end - start)
            z = fold(prefix, x, lambda n, inputs: apply(n.op, inputs))[node.inputs[0]].flatten(1)
            left, right = z[:-1], z[1:]
            place, unit = ((left < 0) & (right > 0) | (left > 0) & (right < 0)).nonzero(as_tuple=True)
            share = left[place, unit] / (left[place, unit] - right[place, unit])
            met = t[place] + share * (t[place + 1] - t[place])
            t = torch.cat([t, met]).unique()
    return t


def most_regions(inputs: int, widths: Sequence[int], active: Sequence[int] = ()) -> int:
    """Bound the number of linear regions of a chain of layers: sum over j of the products of C(n_l, j_l).

    `widths` count each layer's unstable neurons, `active` those that are active everywhere: they split nothing, and
    only pass dimensions on. j_l <= min(dimension, n_l) are inactive; the next dimension is min(dimension, a_l + n_l -
    j_l).

    >>> most_regions(1, [3]), most_regions(2, [3]), most_regions(2, [4, 4]), most_regions(2, [1, 4], [3, 0])
    (4, 7, 121, 22)

    Reference: Serra et al. 2018, theorem 1; with stable units Serra and Ramalingam 2020.
    """
    always = tuple(active) or (0,) * len(widths)

    @cache
    def most(dimension: int, layer: int) -> int:
        if layer == len(widths):
            return 1
        n, a = widths[layer], always[layer]
        return sum(math.comb(n, j) * most(min(dimension, a + n - j), layer + 1) for j in range(min(dimension, n) + 1))

    return most(inputs, 0)


def layer_counts(stable: Stability) -> tuple[list[int], list[int]] | None:
    """Return unstable and active units of each layer, for `most_regions`; None where layers are no chain."""
    if any(node.inputs != (at - 1,) for at, node in enumerate(stable.graph.nodes) if at):
        return None
    signs = [stable.signs[at] for at in sorted(stable.signs)]
    return [int((s == 0).sum()) for s in signs], [int((s > 0).sum()) for s in signs]
