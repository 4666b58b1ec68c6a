"""Inactive units give 0 over the domain: they go."""

from surefoot.compress.segment import Segment


def drop_inactive(segment: Segment) -> Segment:
    """Drop units that are never active.

    Property: exact, also in floating point but for the order of sums.

    Reference: Kumar et al. 2019, section 4.
    """
    return segment.keep(segment.signs >= 0)
