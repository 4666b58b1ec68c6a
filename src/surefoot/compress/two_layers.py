"""Any small network as one with two hidden layers, exact but for thin shells along the borders of its regions."""

import numpy as np
import torch

from surefoot.compress.linear_regions import LinearRegion, linear_regions
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear, Relu, Reshape
from surefoot.spec.input_set import InputSet

SAME = 12  # digits to which two violations are the same unit


def two_layers(graph: Graph, domain: InputSet, sharpness: float = 1e3, most: int = 1000) -> Graph:
    """Return a network of two hidden layers that equals a small one on most of a box.

    First layer: every input, and by how much each border of a region is violated, v = relu(-s g(x)), those of several
    regions once. Second: for region S and output j the two units relu(+-f_Sj(x) - sharpness sum v_S(x)); output j is
    the sum of their differences. Inside S all v_S are 0, and other regions' units are 0 where sharpness times their
    violation is at least |f|: the network is exact but in shells of width ~ |f| / sharpness along borders. There the
    error does not go to 0: it is exact on a share of the volume, which `share_exact` measures, and not uniformly close.

    Raises:
        InputError: a network that `linear_regions` cannot take, more regions than `most`, or a sharpness that is not
        positive.

    Reference: Kumar, Serra, Ramalingam 2019 state that two hidden layers suffice for such an approximation; this
    construction is ours.
    """
    if not 0 < sharpness < np.inf:
        raise InputError(f"the sharpness must be positive and finite; got {sharpness}")
    regions = linear_regions(graph, domain, most)
    d, k, low = domain.size, len(regions[0].bias), domain.lower
    units: dict[bytes, int] = {}
    violated: list[np.ndarray] = []
    owned = [[_place(units, violated, row) for row in _borders(region)] for region in regions]
    # carriers relu(x - low) = x - low on the box
    first = np.concatenate([np.eye(d), *(-row[None, 1:] for row in violated)])
    first_bias = np.concatenate([-low, np.array([-row[0] for row in violated])])
    second = np.zeros((2 * k * len(regions), len(first)))
    second_bias = np.zeros(len(second))
    for number, (region, borders) in enumerate(zip(regions, owned, strict=True)):
        for sign, begin in ((1.0, 0), (-1.0, k)):
            at = slice(2 * k * number + begin, 2 * k * number + begin + k)
            second[at, :d] = sign * region.weight
            second_bias[at] = sign * (region.bias + region.weight @ low)
            second[at, [d + i for i in borders]] = -sharpness
    last = np.tile(np.concatenate([np.eye(k), -np.eye(k)], 1), len(regions))
    builder = GraphBuilder(graph.input_shape)
    flat = builder.add(Reshape((d,)), 0)
    hidden = builder.add(Relu(), builder.add(_linear(first, first_bias), flat))
    hidden = builder.add(Relu(), builder.add(_linear(second, second_bias), hidden))
    return builder.build(builder.add(_linear(last, np.zeros(k)), hidden))


def _linear(weight: np.ndarray, bias: np.ndarray) -> Linear:
    return Linear(torch.from_numpy(np.ascontiguousarray(weight)), torch.from_numpy(bias))


def _borders(region: LinearRegion) -> np.ndarray:
    """Return the rows (r, 1 + d) of a region, those that no input moves left out, of length 1."""
    rows = np.concatenate([region.row_bias[:, None], region.rows], 1)
    sizes = np.linalg.norm(region.rows, axis=1)
    return rows[sizes > 0] / sizes[sizes > 0, None]


def _place(units: dict[bytes, int], violated: list[np.ndarray], row: np.ndarray) -> int:
    key = (np.round(row, SAME) + 0.0).tobytes()
    if key not in units:
        units[key] = len(violated)
        violated.append(row)
    return units[key]


def share_exact(first: np.ndarray, second: np.ndarray) -> float:
    """Return for which share of rows two networks' outputs (n, k) agree, to 1e-6 of the largest output."""
    scale = 1e-6 * (1 + np.abs(first).max())
    return float((np.abs(first - second).max(1) <= scale).mean())
