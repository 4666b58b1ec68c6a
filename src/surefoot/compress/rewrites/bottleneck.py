"""What active units pass on has the rank of its matrix: as many units carry it."""

import numpy as np

from surefoot.compress.segment import Segment

TOLERANCE = 1e-10  # of the largest singular value
SPARE = 0.01  # of a new unit's range, by which it stays above 0


def bottleneck(segment: Segment) -> Segment:
    """Factor M = after_S before_S = P V of rank r < |S|; r units V x + c, made active by c, replace the |S| ones.

    c is the least value of V x over the inputs' box, and a little: P c goes out of the output bias again.

    Property: exact in real arithmetic, up to the singular values that are called 0.

    Reference: ours, by a singular value decomposition; compare Dobler and Lemmerich 2025.
    """
    active = segment.signs > 0
    count = int(active.sum())
    if count < 2:
        return segment
    u, s, v = np.linalg.svd(segment.after[:, active] @ segment.before[active], full_matrices=False)
    rank = int((s > TOLERANCE * s[0]).sum()) if s[0] > 0 else 0
    if rank >= count:
        return segment
    out, into = u[:, :rank] * s[:rank], v[:rank]
    low, high = segment.inputs
    least = np.minimum(into * low, into * high).sum(1)
    most = np.maximum(into * low, into * high).sum(1)
    lift = SPARE * (most - least) + 1e-6 * (np.abs(into) @ np.abs(segment.inputs).max(0)) - least
    output_bias = segment.output_bias + segment.after[:, active] @ segment.bias[active] - out @ lift
    kept = segment.keep(~active)
    return Segment(
        np.concatenate([kept.before, into]),
        np.concatenate([kept.bias, lift]),
        np.concatenate([kept.after, out], 1),
        output_bias,
        np.concatenate([kept.signs, np.ones(rank, dtype=kept.signs.dtype)]),
        segment.inputs,
    )
