"""Embeddings for telling pairs apart, such as faces of people who were never trained on."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from surefoot.models.pi_resnet import PiResNet
from surefoot.models.polynomial import NCP


class PolynomialEmbedding(nn.Module):
    """Images to embeddings (n, size): a Pi-ResNet without activations, and an NCP of degree 2 as its head.

    Cosines of embeddings say whether a pair is the same person; `CosineHead` and `AngularMarginLoss` train them.

    Reference: Chrysos et al. 2021, section 5.5, a Pi-net as the backbone of ArcFace.
    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int = 64,
        blocks: Sequence[int] = (1, 1, 1),
        widths: Sequence[int] = (16, 32, 64),
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = PiResNet(shape, widths[-1], blocks, widths, activation, mixed=True)
        self.head: nn.Module = nn.Linear(widths[-1], size) if activation else NCP(widths[-1], size, 2, size)

    def forward(self, x: Tensor) -> Tensor:
        """Compute embeddings, not normalised."""
        return self.head(self.backbone(x))


class CosineHead(nn.Module):
    """Cosines (n, k) between embeddings and one learnt direction a class."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.directions = nn.Linear(size, classes, bias=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute them."""
        return F.linear(F.normalize(embeddings), F.normalize(self.directions.weight))
