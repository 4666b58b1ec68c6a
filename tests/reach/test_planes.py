"""Lines of pools, and planes of products."""

import numpy as np
import pytest
import torch

from surefoot.core.rounding import REAL
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import MaxPool2d
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.planes import planes_of_product
from surefoot.reach.relaxation import relax


def test_a_pool_is_bounded_by_its_best_element_and_above_by_all() -> None:
    """max(x, y) for x in [-1, 2], y in [0, 1]: at least y's lower end, at most x's upper; where x alone can win, x."""
    builder = GraphBuilder((1, 1, 2))
    pool = builder.add(MaxPool2d((1, 2), (1, 2)), 0)
    graph = builder.build()
    rows = torch.tensor([1.0, -1.0]).double().reshape(1, 2, 1, 1, 1)
    for low, high, ends in (
        ([-1.0, 0.0], [2.0, 1.0], [0.0, -2.0]),
        ([3.0, 0.0], [4.0, 1.0], [3.0, -4.0]),
    ):
        region = Box(torch.tensor(low).double().reshape(1, 1, 1, 2), torch.tensor(high).double().reshape(1, 1, 1, 2))
        assert lower_bounds(relax(graph, region, REAL), pool, rows)[0].tolist() == pytest.approx(ends, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_planes_of_a_product_lie_below_and_above_it(seed: int) -> None:
    draws = np.random.default_rng(seed)
    xl, yl = (torch.from_numpy(draws.normal(size=(1, 3))) for _ in range(2))
    x, y = (Box(low, low + torch.from_numpy(draws.uniform(0, 3, size=(1, 3)))) for low in (xl, yl))
    below, above = planes_of_product(x, y)
    for _ in range(50):
        a, b = (box.lower + torch.from_numpy(draws.uniform(size=(1, 3))) * (box.upper - box.lower) for box in (x, y))
        for (p, q, r), sign in ((below, 1.0), (above, -1.0)):
            assert bool((sign * (a * b - (p * a + q * b + r)) >= -1e-12).all())
