"""Active units whose weights depend linearly on those of other active units are sums of them."""

import numpy as np
from scipy.linalg import qr, solve_triangular

from surefoot.compress.segment import Segment

TOLERANCE = 1e-10  # of the largest pivot: below it weights are dependent
LARGEST = 1e3  # a coefficient above it would cost digits: the rewrite is refused


def merge_dependent(segment: Segment) -> Segment:
    """Write W_D = K W_B for a base B of the active rows; K (W_B x + b_B) + b_D - K b_B replaces the units of D.

    Property: exact in real arithmetic, up to the tolerance of the pivoted QR.

    Reference: Serra et al. 2020 (lossless compression), the rank merge.
    """
    active = np.flatnonzero(segment.signs > 0)
    if len(active) < 2:
        return segment
    rows = segment.before[active]
    _, r, order = qr(rows.T, mode="economic", pivoting=True)  # type: ignore[misc]
    pivots = np.abs(np.diag(r))
    rank = int((pivots > TOLERANCE * max(pivots[0], 1e-300)).sum())
    if rank == len(active) or rank == 0:
        return segment
    base, dependent = active[order[:rank]], active[order[rank:]]
    k = solve_triangular(r[:rank, :rank], r[:rank, rank:]).T  # (dependent, base)
    if np.abs(k).max() > LARGEST:
        return segment
    after = segment.after.copy()
    after[:, base] += segment.after[:, dependent] @ k
    constant = segment.after[:, dependent] @ (segment.bias[dependent] - k @ segment.bias[base])
    merged = Segment(segment.before, segment.bias, after, segment.output_bias + constant, segment.signs, segment.inputs)
    kept = np.ones(segment.units, dtype=bool)
    kept[dependent] = False
    return merged.keep(kept)
