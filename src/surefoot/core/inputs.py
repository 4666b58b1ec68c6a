"""A network's inputs, read from an `.npz` file: one door for every command, with all guards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from surefoot.core.errors import InputError
from surefoot.core.files import read_arrays


@dataclass(frozen=True)
class Inputs:
    """Rows of one part: inputs (n, ...) as a network takes them, classes, and groups if there are any."""

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray | None = None


def read_inputs(path: Path | str, shape: Sequence[int] | None = None, dtype: DTypeLike = np.float64) -> np.ndarray:
    """Read inputs `x` (n, ...) of an .npz file; bytes are scaled to [0, 1].

    Arguments:
        shape: of one input of the network; those of the file have as many values.

    Raises:
        FileError: the file is missing, damaged, or has no `x`.
        InputError: no numbers, no rows, another shape, or a value that is not finite.
    """
    (x,) = read_arrays(path, ("x",)).values()
    if x.dtype.kind not in "fiub" or x.ndim < (2 if shape is None else 1):
        raise InputError(f"{path}: x {x.dtype} {x.shape} is no table of inputs (n, ...)")
    return _scaled(path, x, shape, dtype)


def read_labelled(
    path: Path | str, shape: Sequence[int] | None = None, classes: int | None = None,
    dtype: DTypeLike = np.float64, grouped: bool = False,
) -> Inputs:  # fmt: skip
    """Read inputs as `read_inputs` does, and their classes `y` (n,).

    Arguments:
        classes: how many the network has.
        grouped: whether to read `group` (n,) too, if it is there.

    Raises:
        FileError, InputError: as `read_inputs`; `y` or `group` do not fit, or the network has one output.
    """
    if classes is not None and classes < 2:
        raise InputError(f"{path}: images and classes need a network of two outputs or more; this one gives {classes}")
    arrays = read_arrays(path, ("x", "y"), ("group",) if grouped else ())
    x, y, group = arrays["x"], arrays["y"], arrays.get("group")
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "iu" or y.ndim != 1 or x.shape[:1] != y.shape:
        raise InputError(
            f"{path}: x {x.dtype} {x.shape} and y {y.dtype} {y.shape} are not inputs (n, ...) and their class indices"
        )
    if x.ndim < (2 if shape is None else 1):
        raise InputError(f"{path}: x {x.dtype} {x.shape} is no table of inputs (n, ...)")
    scaled = _scaled(path, x, shape, dtype)
    if y.min() < 0:
        raise InputError(f"{path}: a label {int(y.min())}; classes are counted from 0")
    if classes is not None and y.max() >= classes:
        raise InputError(f"{path}: a label {int(y.max())}; the network has {classes} classes")
    if group is not None and group.shape != y.shape:
        raise InputError(f"{path}: `group` has shape {group.shape}, `y` {y.shape}")
    return Inputs(scaled, y.astype(np.int64), group)


def _scaled(path: Path | str, x: np.ndarray, shape: Sequence[int] | None, dtype: DTypeLike) -> np.ndarray:
    if not len(x):
        raise InputError(f"{path}: x has shape {x.shape}; there must be rows")
    if shape is not None and x[0].size != int(np.prod(shape)):
        raise InputError(f"{path}: inputs of shape {x.shape[1:]}; the network takes {tuple(shape)}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        values = x.astype(dtype)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values.reshape(len(x), -1)).all(1)))
        raise InputError(f"{path}: input {row} holds a value that is not finite")
    return values / 255 if x.dtype == np.uint8 else values
