"""Units that nothing after them reads go."""

from surefoot.compress.hidden_layer import HiddenLayer


def drop_unused(layer: HiddenLayer) -> HiddenLayer:
    """Drop units whose outgoing weights are all 0.

    Property: exact, also in floating point but for the order of sums.
    """
    return layer.keep((layer.after != 0).any(0))
