"""The box of inputs that a network was made for: outside of it answers are extrapolation, of polynomials a wild one."""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.data import Part

InputRange: TypeAlias = tuple[Tensor, Tensor]
SPARE = 1e-6  # of the width: what rounding may add


def box_of(part: Part) -> InputRange | None:
    """Return the least and greatest inputs of a part: of each feature of vectors, of each channel of images.

    None for inputs that are no numbers: words, trees.
    """
    x = part.x
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.dtype == torch.uint8):
        return None
    others = (0, *range(2, x.ndim))
    shape = (x.shape[1], *(1 for _ in range(2, x.ndim)))
    return x.amin(others).double().reshape(shape), x.amax(others).double().reshape(shape)


def outside(part: Part, box: InputRange | None) -> np.ndarray:
    """Say which rows of a part have a value outside of a box, or that is no number; none where there is no box."""
    if box is None or not isinstance(part.x, Tensor):
        return np.zeros(len(part), dtype=bool)
    low, high = box
    spare = SPARE * (high - low)
    inside = [((x >= low - spare) & (x <= high + spare)).flatten(1).all(1) for x in part.x.double().split(1024)]
    return torch.cat(inside).logical_not().numpy() if inside else np.zeros(0, dtype=bool)
