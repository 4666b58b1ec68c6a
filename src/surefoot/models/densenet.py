"""Densely connected networks behind a 3x3 stem."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def _convolve(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), convolution)


class _Layer(nn.Module):
    """Add `growth` channels to what came in, through a bottleneck of four times as many."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolve(inputs, 4 * growth, 1), _convolve(4 * growth, growth, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.body(x), x], 1)


class DenseNet(nn.Module):
    """DenseNet-BC with ImageNet's blocks for 32x32 images; (6, 12, 24, 16) is the paper's DenseNet-121.

    Reference: Huang et al. 2017, table 1; Mukhoti et al. 2020, section 5 and code (stem of 2 x growth channels, 3x3).

    >>> sum(p.numel() for p in DenseNet((3, 32, 32), 10, blocks=(2, 2), growth=4).parameters())
    3730
    """

    def __init__(
        self, shape: Sequence[int], classes: int, blocks: Sequence[int] = (6, 12, 24, 16), growth: int = 32
    ) -> None:
        super().__init__()
        channels = 2 * growth
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)]
        for i, count in enumerate(blocks):
            if i:  # halve channels and image between blocks
                layers += [_convolve(channels, channels // 2, 1), nn.AvgPool2d(2)]
                channels //= 2
            for _ in range(count):
                layers.append(_Layer(channels, growth))
                channels += growth
        head = (nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.layers = nn.Sequential(*layers, *head, nn.Linear(channels, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from images (n, c, h, w)."""
        return self.layers(x)
