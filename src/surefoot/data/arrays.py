"""A user's own arrays: one `.npz` file with `x` and `y`."""

from pathlib import Path

import numpy as np
import torch

from surefoot.core.errors import FileError, InputError
from surefoot.data.splits import Data, divide


def arrays(path: Path | str, seed: int = 0) -> Data:
    """Return inputs `x` (n, ...) and labels `y` (n,) of an `.npz` file, divided by a seed. Bytes are scaled to [0, 1].

    Raises:
        FileError: the file is missing, damaged, or lacks an array.
        InputError: values that are not finite, labels that are not class indices, lengths that differ.
    """
    try:
        with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            x, y = file["x"], file["y"]
    except OSError as error:
        raise FileError(f"cannot read {path}: {error}") from error
    except Exception as error:  # whatever a damaged file makes NumPy's reader raise
        raise FileError(f"{path} must be an .npz file with arrays 'x' (n, ...) and 'y' (n,): {error}") from error
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "iu" or y.ndim != 1 or x.ndim < 2 or len(x) != len(y):
        raise InputError(
            f"{path}: x must be numbers (n, ...) and y class indices (n,), "
            f"got x {x.dtype} {x.shape}, y {y.dtype} {y.shape}"
        )
    if not len(y) or y.min() < 0 or not np.isfinite(x).all():
        raise InputError(f"{path}: x must be finite, y at least 0, and there must be rows")
    k = int(y.max()) + 1
    if k < 2:
        raise InputError(f"{path}: all labels are 0; at least two classes are needed")
    inputs = torch.from_numpy(x.astype(np.float32)) / (255 if x.dtype == np.uint8 else 1)
    return divide(Path(path).stem, inputs, torch.from_numpy(y.astype(np.int64)), tuple(map(str, range(k))), seed)
