"""Active units whose weights depend linearly on those of other active units are sums of them."""

import numpy as np
from scipy.linalg import qr, solve_triangular

from surefoot.compress.hidden_layer import HiddenLayer

TOLERANCE = 1e-10  # of the largest pivot: below it weights are dependent
LARGEST = 1e3  # a coefficient above it would cost digits: the rewrite is refused


def merge_dependent(layer: HiddenLayer) -> HiddenLayer:
    """Write W_D = K W_B for a base B of the active rows; K (W_B x + b_B) + b_D - K b_B replaces the units of D.

    Property: exact in real arithmetic, up to the tolerance of the pivoted QR.

    Reference: Serra et al. 2020 (lossless compression), the rank merge.
    """
    active = np.flatnonzero(layer.signs > 0)
    if len(active) < 2:
        return layer
    rows = layer.before[active]
    _, r, order = qr(rows.T, mode="economic", pivoting=True)  # type: ignore[misc]
    pivots = np.abs(np.diag(r))
    rank = int((pivots > TOLERANCE * max(pivots[0], 1e-300)).sum())
    if rank == len(active) or rank == 0:
        return layer
    base, dependent = active[order[:rank]], active[order[rank:]]
    k = solve_triangular(r[:rank, :rank], r[:rank, rank:]).T  # (dependent, base)
    if np.abs(k).max() > LARGEST:
        return layer
    after = layer.after.copy()
    after[:, base] += layer.after[:, dependent] @ k
    constant = layer.after[:, dependent] @ (layer.bias[dependent] - k @ layer.bias[base])
    merged = HiddenLayer(layer.before, layer.bias, after, layer.output_bias + constant, layer.signs, layer.inputs)
    kept = np.ones(layer.units, dtype=bool)
    kept[dependent] = False
    return merged.keep(kept)
