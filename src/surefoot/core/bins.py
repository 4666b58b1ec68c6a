"""Which bin a number between 0 and 1 is in, exactly."""

import functools

import numpy as np
from jaxtyping import Int

from surefoot.core.types import Confidences


def bin_edges(bins: int, dtype: np.dtype) -> np.ndarray:
    """Compute the edges 0, 1/bins, ..., 1 of the bins, rounded to a dtype."""
    return (np.arange(bins + 1) / bins).astype(dtype)


@functools.lru_cache
def _ceiling_is_exact(bins: int, dtype: np.dtype) -> bool:
    """Decide whether ceil(x * bins) puts every x of this dtype into its bin.

    Rounding is monotone, so the edges and the numbers next to them settle it for all.
    """
    edges = bin_edges(bins, dtype)
    above = np.nextafter(edges[:-1], dtype.type(2))
    ceilings = [np.ceil(x * dtype.type(bins)) for x in (edges, above)]
    return bool((ceilings[0] == np.arange(bins + 1)).all() and (ceilings[1] == np.arange(1, bins + 1)).all())


def bin_index(confidence: Confidences, bins: int) -> Int[np.ndarray, " n"]:
    """Find the bin of each confidence: j for (edge j-1, edge j], 0 for exactly 0; edges rounded to the array's dtype.

    >>> bin_index(np.array([0.0, 0.5, 0.51, 1.0]), 2)
    array([0, 1, 2, 2])
    """
    dtype = confidence.dtype
    index = np.ceil(confidence * dtype.type(bins)).astype(np.intp)
    if not _ceiling_is_exact(bins, dtype):
        edges = bin_edges(bins, dtype)
        index -= (index > 0) & (confidence <= edges[index - 1])
        index += confidence > edges[np.minimum(index, bins)]
    return index
