"""A multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Flatten, then ReLU layers of the given widths, then one linear layer.

    >>> sum(p.numel() for p in MLP((1, 8, 8), 10, widths=(32,)).parameters())
    2410
    """

    def __init__(self, shape: Sequence[int], classes: int, widths: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        size = 1
        for length in shape:
            size *= length
        sizes = [size, *widths]
        hidden = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
        self.layers = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from inputs (n, ...)."""
        return self.layers(x)
