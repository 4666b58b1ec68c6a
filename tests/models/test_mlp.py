"""Multilayer perceptrons: the formula."""

import pytest
import torch

from surefoot.models import MLP


@pytest.mark.parametrize("widths", [(), (5,), (6, 3)])
def test_layers_are_matrices_with_relus_between_them(widths):
    model = MLP((1, 2, 4), 3, widths)
    x = torch.randn(7, 1, 2, 4)
    h = x.reshape(7, 8)
    *hidden, last = zip(*[iter(model.parameters())] * 2, strict=True)
    assert [len(bias) for _, bias in hidden] == list(widths)
    for weight, bias in hidden:
        h = (h @ weight.T + bias).clamp(min=0)
    torch.testing.assert_close(model(x), h @ last[0].T + last[1])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_gives_logits_and_gradients(shape):
    model = MLP(shape, 7)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
