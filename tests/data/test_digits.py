"""Digits: divided without overlap, in proportion, the same each time."""

import torch

from surefoot.data import load_data


def test_digits_are_divided_without_overlap_in_proportion():
    data = load_data("digits")
    parts = [data.train, data.validation, data.test]
    assert [len(p) for p in parts] == [1077, 270, 450]
    rows = torch.cat([p.x.flatten(1) for p in parts])
    assert len(torch.unique(rows, dim=0)) == 1797  # every image once
    for part in parts:
        assert torch.bincount(part.y).min() / len(part) > 0.09
        assert 0 <= part.x.min() <= part.x.max() <= 1
    assert torch.equal(load_data("digits").test.x, data.test.x)
    assert not torch.equal(load_data("digits", seed=1).test.x, data.test.x)
