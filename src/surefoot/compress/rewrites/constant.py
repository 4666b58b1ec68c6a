"""Units that no input moves are part of the next bias."""

import numpy as np

from surefoot.compress.segment import Segment


def fold_constant(segment: Segment) -> Segment:
    """Fold max(0, b) of units whose weights are all 0 into the output bias.

    Property: exact in real arithmetic.
    """
    still = (segment.before == 0).all(1)
    if not still.any():
        return segment
    given = segment.after[:, still] @ np.maximum(segment.bias[still], 0)
    return segment.keep(~still).moved(given)
