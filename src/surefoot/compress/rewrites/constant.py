"""Units that no input moves are part of the next bias."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer


def fold_constant(layer: HiddenLayer) -> HiddenLayer:
    """Fold max(0, b) of units whose weights are all 0 into the output bias.

    Property: exact in real arithmetic.
    """
    still = (layer.before == 0).all(1)
    if not still.any():
        return layer
    given = layer.after[:, still] @ np.maximum(layer.bias[still], 0)
    return layer.keep(~still).moved(given)
