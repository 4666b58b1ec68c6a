"""A user's own arrays: one `.npz` file with `x` and `y`, or any data sets of PyTorch's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from surefoot.core.errors import InputError
from surefoot.core.inputs import read_labelled
from surefoot.data.prepare import Prepare
from surefoot.data.splits import Data, Part, divide, divide_published


def arrays(path: Path | str, seed: int = 0) -> Data:
    """Return inputs `x` (n, ...) and labels `y` (n,) of an `.npz` file, divided by a seed. Bytes are scaled to [0, 1].

    Raises:
        FileError: the file is missing, damaged, or lacks an array.
        InputError: values that are not finite, labels that are not class indices, lengths that differ.
    """
    rows = read_labelled(path, dtype=np.float32)
    k = int(rows.y.max()) + 1
    if k < 2:
        raise InputError(f"{path}: all labels are 0; at least two classes are needed")
    inputs, labels = torch.from_numpy(rows.x), torch.from_numpy(rows.y)
    return divide(Path(path).stem, inputs, labels, tuple(map(str, range(k))), seed)


def from_datasets(
    name: str,
    train: Dataset,
    test: Dataset,
    class_names: Sequence[str],
    seed: int = 0,
    validation: Dataset | None = None,
    prepare: Prepare | None = None,
) -> Data:
    """Return data from any `torch.utils.data.Dataset` of pairs (input, class index), read into memory once.

    Without a validation part of its own a tenth of the training rows is held out, by the seed.

    Raises:
        InputError: a data set is empty, its inputs differ in shape, or a label is no class.

    >>> pairs = [(torch.full((2,), float(i)), i % 2) for i in range(40)]
    >>> data = from_datasets("mine", pairs, pairs[:10], ("even", "odd"))
    >>> len(data.train), len(data.validation), len(data.test)
    (36, 4, 10)
    """
    parts = [
        None if rows is None else _read(rows, f"{name}, {what}", len(class_names))
        for rows, what in ((train, "train"), (test, "test"), (validation, "validation"))
    ]
    divided = divide_published(name, parts[0], parts[1], tuple(class_names), seed, parts[2])  # type: ignore[arg-type]
    return replace(divided, prepare=prepare or Prepare())


def _read(rows: Dataset, where: str, classes: int) -> Part:
    pairs = [rows[i] for i in range(len(rows))]  # type: ignore[arg-type]
    if not pairs:
        raise InputError(f"{where}: the data set is empty")
    inputs = [torch.as_tensor(x) for x, _ in pairs]
    for row, x in enumerate(inputs):
        if x.shape != inputs[0].shape:
            raise InputError(f"{where} row {row} has shape {tuple(x.shape)}, row 0 has {tuple(inputs[0].shape)}")
    labels = torch.tensor([int(y) for _, y in pairs])
    if labels.min() < 0 or labels.max() >= classes:
        row = int(((labels < 0) | (labels >= classes)).nonzero()[0])
        raise InputError(f"{where} row {row} is class {int(labels[row])}, outside 0 to {classes - 1}")
    return Part(torch.stack(inputs), labels)
