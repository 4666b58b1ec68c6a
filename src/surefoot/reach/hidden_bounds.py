"""Bounds of hidden values over many boxes, and linear functions of the input that show them.

A box that came from bisecting another inherits both: a linear bound over a box is one over any part of it, and there it
is tighter.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.rounding import DOUBLE, LOST, gamma, magnitude

LARGEST_ROWS = 2**17  # numbers in one tensor of coefficients


class HiddenBounds:
    """Bounds `lower`, `upper` (n, M) of M values over n boxes (n, d); `known` (n, 2, M) are such, proven before.

    Over box i value j is at least `value_below`, reached where `lines_below` (n, M, d) is least; likewise above. They
    are infinite where there is no such line.
    """

    def __init__(
        self, low: Float[Tensor, "n d"], high: Float[Tensor, "n d"], size: int, known: Float[Tensor, "n 2 M"] | None
    ) -> None:
        self.low, self.high = low, high
        self.known = known is not None and not bool(torch.isinf(known).any())
        whole = low.new_full((len(low), size), torch.inf)
        self.lower, self.upper = (-whole, whole) if known is None else known.clone().unbind(1)
        self.value_below, self.value_above = -whole, whole.clone()
        self.lines_below, self.lines_above = (
            low.new_zeros(*whole.shape, low.shape[1]),
            low.new_zeros(*whole.shape, low.shape[1]),
        )
        self.input_size = magnitude(torch.maximum(low.abs(), high.abs()))

    def meet(self, where: tuple[Tensor | slice, Tensor | slice], below: Tensor, above: Tensor) -> None:
        """Narrow bounds; what is not a number says nothing."""
        self.lower[where] = torch.fmax(self.lower[where], below)
        self.upper[where] = torch.fmin(self.upper[where], above)

    def keep(
        self, where: tuple[Tensor | slice, Tensor | slice], ends: tuple[Tensor, Tensor], lines: tuple[Tensor, Tensor]
    ) -> None:
        """Narrow bounds, and keep the lines that show them."""
        self.value_below[where], self.value_above[where] = ends
        self.lines_below[where], self.lines_above[where] = lines
        self.meet(where, *ends)

    def within(
        self, box: Int[Tensor, " c"], low: Float[Tensor, "c d"], high: Float[Tensor, "c d"]
    ) -> tuple[Float[Tensor, "c M"], Float[Tensor, "c M"]]:
        """Bound values over a part of each of c boxes by the linear functions alone; infinite without one."""
        up, down = (low - self.low[box]).unsqueeze(2), (high - self.high[box]).unsqueeze(2)
        size = (2 * self.input_size[box]).unsqueeze(2)
        unit = 2 * gamma(4 * low.shape[1], DOUBLE)
        ends = []
        for values, lines, sign in (
            (self.value_below, self.lines_below, 1.0),
            (self.value_above, self.lines_above, -1.0),
        ):
            value, line = sign * values[box], sign * lines[box]
            risen = value + (line.clamp(min=0) @ up + line.clamp(max=0) @ down).squeeze(2)
            paid = unit * (value.abs() + (magnitude(line) @ size).squeeze(2)) + LOST
            ends.append(sign * torch.where(torch.isfinite(value), risen - paid, -torch.inf))
        return ends[0], ends[1]

    def known_within(
        self, box: Int[Tensor, " c"], low: Float[Tensor, "c d"], high: Float[Tensor, "c d"]
    ) -> Float[Tensor, "c 2 M"]:
        """Bound values over a part of each of c boxes by all that is known, for those who bound them anew."""
        below, above = self.within(box, low, high)
        return torch.stack([torch.fmax(self.lower[box], below), torch.fmin(self.upper[box], above)], 1)

    def of_halves(
        self, box: Int[Tensor, " c"], low: Float[Tensor, "c d"], high: Float[Tensor, "c d"], axes: Sequence[int]
    ) -> tuple[Float[Tensor, "h M"], Float[Tensor, "h M"]]:
        """Estimate bounds in both halves of a part of each box, bisected along each axis: h = 2 c axes; not rounded.

        A linear function rises by coefficient times half the width, or not.
        """
        half = ((high - low) / 2)[:, list(axes)].unsqueeze(1)
        value_below, value_above = (x.unsqueeze(2) for x in self.within(box, low, high))
        down, up = self.lines_below[box][:, :, list(axes)] * half, self.lines_above[box][:, :, list(axes)] * half
        below = torch.stack([value_below - down.clamp(max=0), value_below + down.clamp(min=0)], 3)
        above = torch.stack([value_above - up.clamp(min=0), value_above + up.clamp(max=0)], 3)
        below = torch.fmax(below, self.lower[box][:, :, None, None])
        above = torch.fmax(torch.fmin(above, self.upper[box][:, :, None, None]), below)
        return tuple(x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (below, above))  # type: ignore[return-value]


def halves(
    low: Float[Tensor, "c d"], high: Float[Tensor, "c d"], axes: Sequence[int]
) -> tuple[Float[Tensor, "h d"], Float[Tensor, "h d"]]:
    """Bisect each box along each axis: lower ends, upper ends of h = 2 c axes halves."""
    lows, highs = (x.repeat_interleave(2 * len(axes), 0) for x in (low, high))
    first, axis = torch.arange(0, len(lows), 2), torch.tensor(axes).repeat(len(low))
    middle = (lows[first, axis] + highs[first, axis]) / 2
    highs[first, axis], lows[first + 1, axis] = middle, middle
    return lows, highs


def estimated(
    estimate: Callable[[Tensor, Tensor, Tensor], Tensor], per_box: int, box: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Estimate parts of boxes in chunks, where each takes so many numbers."""
    chunk = max(LARGEST_ROWS // per_box, 1)
    parts = zip(box.split(chunk), low.split(chunk), high.split(chunk), strict=True)
    return torch.cat([estimate(*part) for part in parts])
