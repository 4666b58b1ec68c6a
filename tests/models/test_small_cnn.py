"""The small convolutional network: any size of image, gradients, and what the average does not see."""

import pytest
import torch

from surefoot.models import SmallCNN


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_gives_logits_and_gradients(shape):
    model = SmallCNN(shape, 7)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_where_a_pattern_stands_does_not_matter():
    """Far from the border, a shift by the stride moves every map, and the average of a map stays."""
    model = SmallCNN((1, 24, 24), 5, width=4).double()
    x = torch.zeros(1, 1, 24, 24, dtype=torch.float64)
    x[:, :, 9:12, 9:12] = torch.randn(3, 3, dtype=torch.float64)
    torch.testing.assert_close(model(x), model(x.roll((4, 2), (2, 3))))
    assert not torch.allclose(model(x), model(2 * x))
