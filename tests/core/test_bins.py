"""Bins are exact at their edges, for every dtype and number of bins."""

import numpy as np
import pytest

from surefoot.core.bins import bin_index


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_edge_and_its_neighbours_fall_into_their_bin(dtype):
    for bins in [*range(1, 60), 100, 257]:
        edges = (np.arange(bins + 1) / bins).astype(dtype)
        if len(np.unique(edges)) <= bins:
            continue
        assert (bin_index(edges, bins) == np.arange(bins + 1)).all()
        assert (bin_index(np.nextafter(edges[:-1], dtype(1)), bins) == np.arange(1, bins + 1)).all()
        assert (bin_index(np.nextafter(edges[1:], dtype(0)), bins) == np.arange(1, bins + 1)).all()
