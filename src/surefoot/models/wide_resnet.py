"""Wide residual networks for CIFAR."""

from collections.abc import Sequence

from torch import Tensor, nn

from surefoot.core.errors import InputError


class _Block(nn.Module):
    """Two 3x3 convolutions, each after normalisation and ReLU; the shortcut leaves after the first of them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.project = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ready = self.before(x)
        return self.body(ready) + (x if self.project is None else self.project(ready))


class WideResNet(nn.Module):
    """Wide ResNet: three stages of (depth - 4) / 6 pre-activation blocks, 16, 32, 64 channels times `widen`.

    The paper's WRN-26-10 is `depth=28` here: Zagoruyko counts all layers, the paper leaves the projections of shortcuts
    out; both have four blocks a stage.

    Reference: Zagoruyko and Komodakis 2016, table 1; Mukhoti et al. 2020, section 5.

    >>> sum(p.numel() for p in WideResNet((3, 32, 32), 10, depth=10, widen=1).parameters())
    77850
    """

    def __init__(self, shape: Sequence[int], classes: int, depth: int = 28, widen: int = 10) -> None:
        super().__init__()
        if (depth - 4) % 6:
            raise InputError(f"the depth of a wide ResNet is 6 m + 4 (16, 22, 28, 40), got {depth}")
        layers: list[nn.Module] = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)]
        inputs = 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range((depth - 4) // 6):
                layers.append(_Block(inputs, width * widen, stride if i == 0 else 1))
                inputs = width * widen
        head = (nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
        self.layers = nn.Sequential(*layers, *head)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from images (n, c, h, w)."""
        return self.layers(x)
