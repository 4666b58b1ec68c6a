"""Generators that multiply in the place of activations."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from surefoot.models.polynomial import CCP, NCP


class PolynomialGenerator(nn.Module):
    """Noise (n, latent) to images of a shape, a product of two polynomials without any activation, not even at the end.

    Degree 1: an affine map, the baseline; else two CCPs one after the other, of degree 2 each.

    Reference: Chrysos et al. 2020, section 4.1: generation without activations.
    """

    def __init__(self, latent: int, shape: Sequence[int], polynomials: int = 2, rank: int = 64) -> None:
        super().__init__()
        self.shape = tuple(shape)
        sizes = [latent, *[rank] * max(polynomials - 1, 0), math.prod(shape)]
        layers: list[nn.Module] = [nn.Linear(latent, sizes[-1])] if not polynomials else []
        for i in range(polynomials):
            layers += [CCP(sizes[i], sizes[i + 1], 2, rank, norm="product")]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Compute images (n, *shape)."""
        return self.layers(z).reshape(-1, *self.shape)


class InjectionGenerator(nn.Module):
    """A small StyleGAN read as an NCP: at every level x_n = (A_n w) * BN(up(conv x_(n-1))), w injected again.

    x_0 is learnt; up makes one channel of twice the sides from four; the last level is convolved to the image.
    `mapping`: w is itself an NCP of the noise, so the whole is a product of polynomials; else w is the noise. Without
    activations a polynomial in evaluation mode, of degree levels (twice that with the mapping).

    Reference: Chrysos et al. 2021, section 4.3 (StyleGAN as a polynomial); Karras et al. 2019.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        widths: Sequence[int] = (32, 16),
        mapping: bool = True,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        scale = 2 ** len(widths)
        self.mapping: nn.Module = NCP(latent, latent, 2, latent) if mapping else nn.Identity()
        self.start = nn.Parameter(torch.randn(1, widths[0], *(math.ceil(side / scale) for side in sides)))
        self.sides = tuple(sides)
        before = (widths[0], *widths[:-1])
        self.maps = nn.ModuleList(nn.Linear(latent, width) for width in widths)
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, 4 * o, 3, 1, 1, bias=False), nn.PixelShuffle(2), nn.BatchNorm2d(o))
            for i, o in zip(before, widths, strict=True)
        )
        self.last = nn.Conv2d(widths[-1], channels, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Compute images (n, *shape)."""
        w = self.mapping(z)
        x = self.start.expand(len(z), -1, -1, -1)
        for style, conv in zip(self.maps, self.convs, strict=True):
            x = style(w)[:, :, None, None] * conv(x)
        height, width = self.sides
        return self.last(x)[:, :, :height, :width]
