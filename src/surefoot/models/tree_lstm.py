"""The binary Tree-LSTM, batched over trees: one step a level of height, for all nodes of all trees at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from surefoot.core.errors import InputError


class TreeLSTM(nn.Module):
    """A constituency Tree-LSTM that reads a sentence from the words up and classifies its root.

    Trees are (n, nodes, 3) whole numbers, children before parents, the root last: a word is (word number, 0, 0), an
    inner node (left child, right child, height), padding (0, 0, -1). `shape` is (nodes, 3, vocabulary size).

    Words: c = W x, h = sigmoid(W' x) tanh(c). Inner nodes, with gates of h = [h_left, h_right]:
    c = i u + f_left c_left + f_right c_right, h = o tanh(c).

    Reference: Tai, Socher, Manning 2015, equations 9 to 14 (binary).

    >>> tree = torch.tensor([[[1, 0, 0], [2, 0, 0], [0, 1, 1], [0, 0, -1]]])  # (1 2), and one node of padding
    >>> TreeLSTM((4, 3, 5), 2)(tree).shape
    torch.Size([1, 2])
    """

    def __init__(self, shape: Sequence[int], classes: int, size: int = 100, memory: int = 150) -> None:
        super().__init__()
        if len(shape) != 3 or shape[1] != 3:
            raise InputError(f"this network is for trees, (nodes, 3, vocabulary size), got inputs of {tuple(shape)}")
        self.memory = memory
        self.embedding = nn.Embedding(shape[2], size)
        self.leaf = nn.Linear(size, 2 * memory)
        self.compose = nn.Linear(2 * memory, 5 * memory)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(memory, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from trees (n, nodes, 3)."""
        x = x.long()
        real = x[:, :, 2] >= 0  # padding is dropped: nodes of all trees in one row, those of a tree together
        sizes = real.sum(1)
        first = (sizes.cumsum(0) - sizes)[:, None].expand_as(real)[real]  # where each node's own tree begins
        left, right, height = x[real].unbind(1)
        words = (height == 0).nonzero().squeeze(1)
        cell, gate = self.leaf(self.embedding(left[words])).chunk(2, 1)
        # hidden state and cell of every node, filled in level by level
        state = cell.new_zeros(len(height), 2 * self.memory)
        state = state.index_copy(0, words, torch.cat([gate.sigmoid() * cell.tanh(), cell], 1))
        counts = torch.bincount(height).tolist()  # words, then each level: one wait for the device
        for level in height.argsort(stable=True).split(counts)[1:]:
            state = state.index_copy(0, level, self._node(state, (first + left)[level], (first + right)[level]))
        return self.head(state[sizes.cumsum(0) - 1, : self.memory])

    def _node(self, state: Tensor, left: Tensor, right: Tensor) -> Tensor:
        h_left, c_left = state[left].chunk(2, 1)
        h_right, c_right = state[right].chunk(2, 1)
        i, f_left, f_right, o, u = self.compose(torch.cat([h_left, h_right], 1)).chunk(5, 1)
        cell = i.sigmoid() * u.tanh() + f_left.sigmoid() * c_left + f_right.sigmoid() * c_right
        return torch.cat([o.sigmoid() * cell.tanh(), cell], 1)
