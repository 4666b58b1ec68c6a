"""Units whose weights are positive multiples of another's are that other: no domain is needed."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer

TOLERANCE = 1e-13  # of the norm of weights and bias


def merge_proportional(layer: HiddenLayer) -> HiddenLayer:
    """Merge (w_i, b_i) = a (w_j, b_j), a > 0: relu is homogeneous, so a times the outgoing weights goes to j.

    Property: exact in real arithmetic, up to the tolerance by which units are called proportional.
    """
    rows = np.concatenate([layer.before, layer.bias[:, None]], 1)
    norms = np.linalg.norm(rows, axis=1)
    after = layer.after.copy()
    kept = np.ones(layer.units, dtype=bool)
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
        return layer
    merged = HiddenLayer(layer.before, layer.bias, after, layer.output_bias, layer.signs, layer.inputs)
    return merged.keep(kept)
