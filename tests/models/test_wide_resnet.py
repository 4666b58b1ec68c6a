"""Wide residual networks: depths there are, gradients everywhere."""

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.models import WideResNet


@pytest.mark.parametrize("depth", [27, 11])
def test_wide_resnets_of_impossible_depth_are_refused(depth):
    with pytest.raises(InputError, match="6 m"):
        WideResNet((3, 32, 32), 10, depth=depth)


def test_deep_networks_halve_the_image_and_give_logits():
    model = WideResNet((3, 32, 32), 7, depth=10, widen=1)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
