"""The global-pooling convolutional network for texts."""

from collections.abc import Sequence

from torch import Tensor, nn

from surefoot.core.errors import InputError


class PoolingCNN(nn.Module):
    """Three convolutions of 128 filters over five words, pooled over the whole text.

    Made for texts of `length` words from a vocabulary in which 0 is padding: `shape` is (length, vocabulary size). The
    paper's embeddings are GloVe's, frozen; here they are learnt, unless `embedding.weight` is set.

    Reference: Mukhoti et al. 2020, section 5 and code (after Lin, Chen, Yan 2014).

    >>> sum(p.numel() for p in PoolingCNN((50, 10), 20).parameters())
    248316
    """

    def __init__(self, shape: Sequence[int], classes: int, size: int = 100, filters: int = 128) -> None:
        super().__init__()
        if len(shape) != 2:
            raise InputError(
                f"this network is for texts, (length, vocabulary size), got inputs of shape {tuple(shape)}"
            )
        self.embedding = nn.Embedding(shape[1], size, padding_idx=0)
        self.layers = nn.Sequential(
            nn.Conv1d(size, filters, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool1d(5, stride=1, padding=2),
            nn.Conv1d(filters, filters, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool1d(5, stride=1, padding=2),
            nn.Conv1d(filters, filters, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            nn.Linear(filters, 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from word numbers (n, length)."""
        return self.layers(self.embedding(x.int()).transpose(1, 2))
