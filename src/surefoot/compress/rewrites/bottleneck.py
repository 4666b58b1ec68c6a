"""What active units pass on has the rank of its matrix: as many units carry it."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer

TOLERANCE = 1e-10  # of the largest singular value
SPARE = 0.01  # of a new unit's range, by which it stays above 0


def bottleneck(layer: HiddenLayer) -> HiddenLayer:
    """Factor M = after_S before_S = P V of rank r < |S|; r units V x + c, made active by c, replace the |S| ones.

    c is the least value of V x over the inputs' box, and a little: P c goes out of the output bias again.

    Property: exact in real arithmetic, up to the singular values that are called 0.

    Reference: ours, by a singular value decomposition; compare Dobler and Lemmerich 2025.
    """
    active = layer.signs > 0
    count = int(active.sum())
    if count < 2:
        return layer
    u, s, v = np.linalg.svd(layer.after[:, active] @ layer.before[active], full_matrices=False)
    rank = int((s > TOLERANCE * s[0]).sum()) if s[0] > 0 else 0
    if rank >= count:
        return layer
    out, into = u[:, :rank] * s[:rank], v[:rank]
    low, high = layer.inputs
    least = np.minimum(into * low, into * high).sum(1)
    most = np.maximum(into * low, into * high).sum(1)
    lift = SPARE * (most - least) + 1e-6 * (np.abs(into) @ np.abs(layer.inputs).max(0)) - least
    output_bias = layer.output_bias + layer.after[:, active] @ layer.bias[active] - out @ lift
    kept = layer.keep(~active)
    return HiddenLayer(
        np.concatenate([kept.before, into]),
        np.concatenate([kept.bias, lift]),
        np.concatenate([kept.after, out], 1),
        output_bias,
        np.concatenate([kept.signs, np.ones(rank, dtype=kept.signs.dtype)]),
        layer.inputs,
    )
