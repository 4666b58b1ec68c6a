"""Densely connected networks: gradients everywhere, and what a layer keeps of its input."""

import torch

from surefoot.models import DenseNet


def test_deep_networks_halve_the_image_and_give_logits():
    model = DenseNet((3, 32, 32), 7, blocks=(2, 2), growth=4)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_layer_hands_on_what_came_in():
    """x_l = H_l([x_0, ..., x_(l-1)]): every layer adds `growth` channels and keeps all others as they were."""
    stem, *layers = list(DenseNet((3, 8, 8), 7, blocks=(3,), growth=4).eval().layers.children())[:4]
    x = stem(torch.randn(2, 3, 8, 8))
    for layer in layers:
        y = layer(x)
        assert y.shape[1] == x.shape[1] + 4
        assert torch.equal(y[:, 4:], x)
        x = y
