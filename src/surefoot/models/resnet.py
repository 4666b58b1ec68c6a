"""The CIFAR residual networks: He's (basic blocks, parameter-free shortcuts) and the paper's (bottlenecks)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from surefoot.core.errors import InputError


class _Conv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs))


class _Shorten(nn.Module):
    """Subsample by the stride and pad new channels with zeros on both sides: He's option A, without parameters."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra // 2))


class _Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_Conv(inputs, outputs, 3, stride), nn.ReLU(), _Conv(outputs, outputs, 3))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _Shorten(outputs - inputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.body = nn.Sequential(
            _Conv(inputs, width, 1), nn.ReLU(), _Conv(width, width, 3, stride), nn.ReLU(), _Conv(width, outputs, 1)
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _Conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class CifarResNet(nn.Module):
    """He's ResNet for CIFAR: three stages of (depth - 2) / 6 basic blocks, 16, 32, 64 channels.

    Reference: He et al. 2016, section 4.2 (option A shortcuts).

    >>> sum(p.numel() for p in CifarResNet((3, 32, 32), 10, depth=20).parameters())
    269722
    """

    def __init__(self, shape: Sequence[int], classes: int, depth: int = 20) -> None:
        super().__init__()
        if (depth - 2) % 6:
            raise InputError(f"the depth of a CIFAR ResNet is 6 m + 2 (20, 32, 44, 56, 110), got {depth}")
        blocks, inputs = (depth - 2) // 6, 16
        layers: list[nn.Module] = [_Conv(shape[0], 16, 3), nn.ReLU()]
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range(blocks):
                layers.append(_Basic(inputs, width, stride if i == 0 else 1))
                inputs = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from images (n, c, h, w)."""
        return self.layers(x)


class BottleneckResNet(nn.Module):
    """The focal-calibration paper's ResNet: ImageNet's bottleneck stages behind a 3x3 stem, for 32x32 images.

    (3, 4, 6, 3) is its ResNet-50; (3, 4, 26, 3) is what it calls ResNet-110. For Tiny-ImageNet's 64x64 images its
    ResNet-50 pools to 2x2 (`pool=2`) and gives all four cells to the last layer.

    Reference: Mukhoti et al. 2020, section 5 and code; He et al. 2016, table 1.

    >>> sum(p.numel() for p in BottleneckResNet((3, 32, 32), 10).parameters())
    23520842
    """

    def __init__(self, shape: Sequence[int], classes: int, stages: Sequence[int] = (3, 4, 6, 3), pool: int = 1) -> None:
        super().__init__()
        inputs = 64
        layers: list[nn.Module] = [_Conv(shape[0], 64, 3), nn.ReLU()]
        for blocks, width, stride in zip(stages, (64, 128, 256, 512), (1, 2, 2, 2), strict=True):
            for i in range(blocks):
                layers.append(_Bottleneck(inputs, width, stride if i == 0 else 1))
                inputs = width * _Bottleneck.expansion
        head = (nn.AdaptiveAvgPool2d(pool), nn.Flatten(), nn.Linear(inputs * pool**2, classes))
        self.layers = nn.Sequential(*layers, *head)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from images (n, c, h, w)."""
        return self.layers(x)
