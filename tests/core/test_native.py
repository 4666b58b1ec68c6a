"""The compiled loops against plain sums; losses and metrics run their own tests over both paths."""

import numpy as np
import pytest

from surefoot.core import native

pytestmark = pytest.mark.skipif(native.LIBRARY is None, reason="there was no C compiler when surefoot was installed")


def test_tally_puts_every_edge_and_its_neighbours_where_they_belong():
    for real in (np.float32, np.float64):
        for bins in (1, 2, 3, 10, 15, 49, 1000):
            edges = (np.arange(bins + 1) / bins).astype(real)
            below, above = np.nextafter(edges, real(0)), np.nextafter(edges, real(2))
            scores = np.concatenate([edges, below, above[:-1]])
            correct = np.arange(len(scores)) % 2 == 0
            index = np.searchsorted(edges, scores)
            for column, weights in enumerate((None, correct, scores)):
                expected = np.bincount(index, weights, bins + 1)
                np.testing.assert_allclose(native.tally(scores, correct, edges)[:, column], expected, rtol=1e-12)
