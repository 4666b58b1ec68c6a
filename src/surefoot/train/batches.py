"""Batches of rows held in memory, shuffled anew each epoch by the seed and the epoch's number alone."""

import math
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from surefoot.data import Part


class ShuffledBatches(Sampler[list[int]]):
    """Yield batches of row numbers, in an order that depends on nothing but seed and epoch."""

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.rows, self.batch_size, self.seed, self.epoch = rows, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Move on; Lightning calls this before each epoch, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the batches."""
        return math.ceil(self.rows / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of this epoch."""
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(self.rows, generator=generator).tolist()
        for start in range(0, self.rows, self.batch_size):
            yield order[start : start + self.batch_size]


def shuffled(part: Part, batch_size: int, seed: int) -> DataLoader:
    """Return a loader of shuffled batches (x, y)."""
    sampler = ShuffledBatches(len(part), batch_size, seed)
    return DataLoader(TensorDataset(part.x, part.y), sampler=sampler, batch_size=None)


def in_order(part: Part, batch_size: int = 512) -> DataLoader:
    """Return a loader of batches (x, y) in the order of the rows."""
    starts = range(0, len(part), batch_size)
    sampler = [list(range(s, min(s + batch_size, len(part)))) for s in starts]
    return DataLoader(TensorDataset(part.x, part.y), sampler=sampler, batch_size=None)
