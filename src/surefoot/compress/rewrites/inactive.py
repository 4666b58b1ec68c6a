"""Inactive units give 0 over the domain: they go."""

from surefoot.compress.hidden_layer import HiddenLayer


def drop_inactive(layer: HiddenLayer) -> HiddenLayer:
    """Drop units that are never active.

    Property: exact, also in floating point but for the order of sums.

    Reference: Kumar et al. 2019, section 4.
    """
    return layer.keep(layer.signs >= 0)
