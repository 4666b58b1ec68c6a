"""Units that nothing after them reads go."""

from surefoot.compress.segment import Segment


def drop_unused(segment: Segment) -> Segment:
    """Drop units whose outgoing weights are all 0.

    Property: exact, also in floating point but for the order of sums.
    """
    return segment.keep((segment.after != 0).any(0))
