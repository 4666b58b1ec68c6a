"""Bisect boxes: along which input is a matter of what that is worth."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class HasEnds(Protocol):
    """Whatever is said of a box."""

    @property
    def low(self) -> Tensor:
        """The lower ends (d,)."""
        ...

    @property
    def high(self) -> Tensor:
        """The upper ends (d,)."""
        ...


def ends(boxes: Sequence[HasEnds]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Stack the lower and the upper ends of boxes."""
    return torch.stack([box.low for box in boxes]), torch.stack([box.high for box in boxes])


def bisect(
    low: Float[Tensor, "n d"], high: Float[Tensor, "n d"], worth: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], list[int], list[float]] | None:
    """Bisect each box along the input that is worth most, of those with a number left between their ends.

    Returns the upper ends of the lower halves, the lower ends of the upper halves, which inputs, and where; None if a
    box cannot be bisected.
    """
    middle = (low + high) / 2
    splits = (low < middle) & (middle < high)
    if not bool(splits.any(1).all()):
        return None
    axis = torch.where(splits, worth.clamp(min=torch.finfo(worth.dtype).min), -torch.inf).argmax(1)
    left, right, where = bisect_along(low, high, axis)
    return left, right, axis.tolist(), where.tolist()


def bisect_along(
    low: Float[Tensor, "n d"], high: Float[Tensor, "n d"], axis: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Bisect each box along its axis: upper ends of the lower halves, lower ends of the upper halves, where."""
    at = torch.arange(len(low))
    middle = (low[at, axis] + high[at, axis]) / 2
    left, right = high.clone(), low.clone()
    left[at, axis] = right[at, axis] = middle
    return left, right, middle
