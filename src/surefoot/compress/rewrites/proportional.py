"""Units whose weights are positive multiples of another's are that other: no domain is needed."""

import numpy as np

from surefoot.compress.segment import Segment

TOLERANCE = 1e-13  # of the norm of weights and bias


def merge_proportional(segment: Segment) -> Segment:
    """Merge (w_i, b_i) = a (w_j, b_j), a > 0: relu is homogeneous, so a times the outgoing weights goes to j.

    Property: exact in real arithmetic, up to the tolerance by which units are called proportional.
    """
    rows = np.concatenate([segment.before, segment.bias[:, None]], 1)
    norms = np.linalg.norm(rows, axis=1)
    after = segment.after.copy()
    kept = np.ones(segment.units, dtype=bool)
    first: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(norms > 0):
        key = np.round(rows[i] / norms[i], 6).astype(np.float32).__add__(0.0).tobytes()
        for j in first.get(key, []):
            if np.abs(rows[i] / norms[i] - rows[j] / norms[j]).max() <= TOLERANCE:
                after[:, j] += norms[i] / norms[j] * after[:, i]
                kept[i] = False
                break
        else:
            first.setdefault(key, []).append(int(i))
    if kept.all():
        return segment
    merged = Segment(segment.before, segment.bias, after, segment.output_bias, segment.signs, segment.inputs)
    return merged.keep(kept)
