"""ResNets whose blocks multiply: the published Pi-nets for images, and their successors."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Product: TypeAlias = Literal["plain", "mixed", "regularised", "own-factors"]


def _convolved(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class _Block(nn.Module):
    """y = h + s + product, of degree 2 where there is no activation; h two convolutions, s the shortcut.

    The product: `plain`, h * s; `mixed`, a 1 x 1 convolution and batch normalisation of it (Chrysos et al. 2021);
    `regularised`, that times a learnt number that begins with 0 (R-PolyNets); `own-factors`, a 3 x 3 convolution of two
    normalised convolutions of s (PDC), the number times it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: bool, product: Product) -> None:
        super().__init__()
        self.activation = activation
        self.first = _convolved(inputs, outputs, 3, stride)
        self.second = _convolved(outputs, outputs, 3)
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if same else _convolved(inputs, outputs, 1, stride)
        self.factors = nn.ModuleList(_convolved(outputs, outputs, 3) for _ in range(2 * (product == "own-factors")))
        match product:
            case "plain":
                self.mixed: nn.Module = nn.Identity()
            case "mixed" | "regularised":
                self.mixed = _convolved(outputs, outputs, 1)
            case "own-factors":
                self.mixed = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        learnt = product in ("regularised", "own-factors")
        self.share = nn.Parameter(torch.zeros(1)) if learnt else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = self.second(F.relu(h) if self.activation else h)
        s = self.shortcut(x)
        one, two = (factor(s) for factor in self.factors) if len(self.factors) else (h, s)
        product = self.mixed(one * two)
        y = h + s + (product if self.share is None else self.share * product)
        return F.relu(y) if self.activation else y


class PiResNet(nn.Module):
    """A ResNet whose blocks also multiply: y = h + s + product; without activations a polynomial of degree 2^blocks.

    `product` as the blocks have it (`mixed=True` is "mixed"). `stem`: `cifar` (3 x 3), or `imagenet` (7 x 7 and a max
    pool, which is no polynomial: the published networks "without activations" keep it).

    Reference: Chrysos et al. 2021 (TPAMI), section 5; blocks (2, 2, 2, 2) at ResNet-18's scale, (2, 2, 1, 1) their
    ProdPoly-ResNet for CIFAR. Chrysos et al. 2022 (PDC, arXiv 2104.07916); Chrysos et al. 2023 (R-PolyNets, arXiv
    2303.13896), of whose regularisation the number that begins with 0 and `Recipe`'s label smoothing are here; their
    instance normalisation and max pools would make it no polynomial.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        blocks: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (64, 128, 256, 512),
        activation: bool = False,
        mixed: bool = False,
        stem: Literal["cifar", "imagenet"] = "cifar",
        product: Product | None = None,
    ) -> None:
        super().__init__()
        small = stem == "cifar"
        first = nn.Conv2d(shape[0], widths[0], 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False)
        layers: list[nn.Module] = [first, nn.BatchNorm2d(widths[0])]
        layers += [nn.ReLU()] if activation else []
        layers += [] if small else [nn.MaxPool2d(3, 2, 1)]
        inputs = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for number in range(count):
                stride = 2 if stage and not number else 1
                layers.append(_Block(inputs, width, stride, activation, product or ("mixed" if mixed else "plain")))
                inputs = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from images (n, c, h, w)."""
        return self.layers(x)
