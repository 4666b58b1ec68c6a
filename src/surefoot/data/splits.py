"""One rule that divides rows into train, validation (for recalibration) and test."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split
from torch import Tensor

from surefoot.core.errors import InputError


@dataclass(frozen=True)
class Part:
    """Inputs (n, ...) and labels (n,) of one part."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """A data set, divided: no row is in two parts."""

    name: str
    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.train.x.shape[1:])


def divide(name: str, x: Tensor, y: Tensor, class_names: tuple[str, ...], seed: int = 0) -> Data:
    """Divide rows 60 : 15 : 25, every class in the same proportions, by a seed.

    Raises:
        InputError: too few rows of some class to be in all three parts.
    """
    counts = np.bincount(y.numpy(), minlength=len(class_names))
    if counts[counts > 0].min() < 7:
        scarce = int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        raise InputError(f"class {scarce} has {counts[scarce]} rows; at least 7 are needed to be in all three parts")
    rest, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y.numpy())
    train, validation = train_test_split(rest, test_size=0.2, random_state=seed, stratify=y.numpy()[rest])
    parts = [Part(x[np.sort(rows)], y[np.sort(rows)]) for rows in (train, validation, test)]
    return Data(name, parts[0], parts[1], parts[2], class_names)
