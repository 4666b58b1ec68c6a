"""The one rule that divides rows."""

import torch

from surefoot.data import divide


def test_a_class_that_never_occurs_is_no_obstacle():
    data = divide("d", torch.zeros(40, 2), torch.arange(40) % 2 * 2, ("a", "b", "c"))
    assert set(data.train.y.tolist()) == {0, 2}
