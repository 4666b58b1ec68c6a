"""One rule that divides rows into train, validation (for recalibration) and test."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.data.prepare import Prepare

VALIDATION = 0.1  # of the rows that a published set gives for training


@dataclass(frozen=True)
class Part:
    """Inputs (n, ...) and labels (n,) of one part."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.y)

    def rows(self, index: np.ndarray) -> "Part":
        """Return some of the rows."""
        chosen = torch.from_numpy(index)
        return Part(self.x[chosen], self.y[chosen])


@dataclass(frozen=True)
class Data:
    """A data set, divided: no row is in two parts.

    Attributes:
        prepare: what is done to a batch before a network sees it; the same for all parts, but for augmentation.
        division: how rows came into their parts, in words; goes into the Predictions file.
        vocabulary: the words that inputs of whole numbers stand for; empty for images.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    prepare: Prepare = field(default_factory=Prepare)
    division: str = ""
    vocabulary: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """What a network is made for: the shape of one input, and the size of the vocabulary if there is one."""
        shape = tuple(self.train.x.shape[1:])
        return (*shape, len(self.vocabulary)) if self.vocabulary else shape

    def with_train_rows(self, rows: int, seed: int = 0) -> "Data":
        """Return the same data with that many rows to train on, every class in the same proportions.

        Raises:
            InputError: there are fewer, or too few for every class to be among them.
        """
        n = len(self.train)
        if rows == n:
            return self
        if not len(self.class_names) <= rows < n - len(self.class_names):
            raise InputError(f"{self.name} has {n} rows to train on; {rows} of them cannot be chosen from every class")
        chosen, _ = train_test_split(np.arange(n), train_size=rows, random_state=seed, stratify=self.train.y.numpy())
        division = f"{self.division}; trained on {rows} of the {n} other rows, seed {seed}"
        return replace(self, train=self.train.rows(np.sort(chosen)), division=division)


def divide(name: str, x: Tensor, y: Tensor, class_names: tuple[str, ...], seed: int = 0) -> Data:
    """Divide rows 60 : 15 : 25, every class in the same proportions, by a seed; no image is in two of them.

    Raises:
        InputError: too few rows of some class to be in all three parts.
    """
    counts = np.bincount(y.numpy(), minlength=len(class_names))
    if counts[counts > 0].min() < 7:
        scarce = int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        raise InputError(f"class {scarce} has {counts[scarce]} rows; at least 7 are needed to be in all three parts")
    rest, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y.numpy())
    train, validation = train_test_split(rest, test_size=0.2, random_state=seed, stratify=y.numpy()[rest])
    division = f"60 : 15 : 25 by class, seed {seed}"
    return _apart(name, Part(x, y), (train, validation, test), class_names, division)


def divide_published(
    name: str, train: Part, test: Part, class_names: tuple[str, ...], seed: int = 0, validation: Part | None = None
) -> Data:
    """Keep a published test part, and take validation from the published training part if there is none of its own.

    A tenth of the training rows (at least one a class), every class in the same proportions, by a seed. An image that
    is also in the test part is not trained on.

    Raises:
        InputError: too few rows of some class.
    """
    labels = train.y.numpy()
    if validation is None:
        counts = np.bincount(labels, minlength=len(class_names))
        if counts[counts > 0].min() < 2:
            scarce = int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
            raise InputError(f"{name}: class {scarce} has one row to train on; at least 2 are needed to hold one out")
        held_out = max(round(VALIDATION * len(labels)), int((counts > 0).sum()))  # a row of every class at least
        chosen = train_test_split(np.arange(len(labels)), test_size=held_out, random_state=seed, stratify=labels)
        division = f"published test part; {held_out} rows of the training part held out by class, seed {seed}"
    else:
        chosen = np.arange(len(labels)), len(labels) + np.arange(len(validation))
        division = "published parts"
        train = Part(torch.cat([train.x, validation.x]), torch.cat([train.y, validation.y]))
    every = Part(torch.cat([train.x, test.x]), torch.cat([train.y, test.y]))
    return _apart(name, every, (*chosen, len(train) + np.arange(len(test))), class_names, division)


def _apart(name: str, every: Part, index: Sequence[Any], class_names: tuple[str, ...], division: str) -> Data:
    """Make the parts. An image that is also in a later part is left out of the earlier: nothing measured was learnt."""
    seen: set[bytes] = set()
    parts = []
    for rows in map(np.sort, reversed(index)):  # test, validation, train
        part = every.rows(rows)
        if every.x.ndim == 4:
            contents = [image.tobytes() for image in part.x.numpy()]
            part = part.rows(np.flatnonzero([content not in seen for content in contents]))
            seen.update(contents)
        parts.append(part)
    test, validation, train = parts
    return Data(name, train, validation, test, class_names, division=division)
