"""Halving boxes: two halves are the whole, and meet in the middle."""

import numpy as np
import pytest
import torch

from surefoot.verify.bisection import bisect, bisect_along


@pytest.mark.parametrize("seed", range(10))
def test_halves_make_the_whole_and_share_their_middle_alone(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    low, worth = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    high = low + torch.rand(5, 4, generator=generator).double()
    halves = bisect(low, high, worth)
    assert halves is not None
    left, right, axis, where = halves
    for i, at in enumerate(axis):
        assert at == int(worth[i].argmax())
        others = torch.arange(4) != at
        assert torch.equal(left[i, others], high[i, others])
        assert torch.equal(right[i, others], low[i, others])
        assert low[i, at] < left[i, at] == right[i, at] == where[i] < high[i, at]


def test_an_input_without_a_number_between_its_ends_is_passed_over_whatever_it_is_worth() -> None:
    low, high = torch.tensor([[1.0, 0.0, 0.0]]).double(), torch.tensor([[np.nextafter(1.0, 2.0), 0.0, 1.0]]).double()
    for worth in ([9.0, 8.0, -7.0], [torch.inf, 0.0, -torch.inf], [torch.nan, torch.nan, 0.0]):
        halves = bisect(low, high, torch.tensor([worth]).double())
        assert halves is not None
        assert halves[2:] == ([2], [0.5])


def test_a_box_that_cannot_be_halved_is_said() -> None:
    low = torch.zeros(2, 1).double()
    assert bisect(low, torch.tensor([[1.0], [0.0]]).double(), low) is None


def test_cutting_says_where() -> None:
    left, right, where = bisect_along(torch.zeros(1, 2).double(), torch.ones(1, 2).double(), torch.tensor([1]))
    assert left.tolist() == [[1.0, 0.5]]
    assert right.tolist() == [[0.0, 0.5]]
    assert where.tolist() == [0.5]
