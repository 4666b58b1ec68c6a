"""Batches cover the rows, in an order of seed and epoch."""

import torch

from surefoot.data import load_data
from surefoot.train.batches import ShuffledBatches, in_order


def test_batches_cover_the_rows_in_an_order_of_their_epoch():
    batches = ShuffledBatches(10, 3, seed=0)
    first = list(batches)
    assert len(first) == len(batches) == 4
    assert sorted(row for batch in first for row in batch) == list(range(10))
    assert list(batches) == first
    batches.set_epoch(1)
    assert list(batches) != first
    data = load_data("digits")
    assert torch.equal(torch.cat([y for _, y in in_order(data.test, 100)]), data.test.y)
