"""Generators of images that are 0 outside a window: what one pixel can reach through a few convolutions.

A network's early layers are large and look at little: of a variable that a ReLU adds only a window of each map is kept,
and it grows with each convolution. Windows may reach beyond the image; there they are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Patches:
    """n generators (c, h, w), each 0 but for a window (c, s, t) whose first row and column are `top` and `left`."""

    values: Float[Tensor, "n c s t"]
    top: Int[Tensor, " n"]
    left: Int[Tensor, " n"]
    shape: tuple[int, ...]  # (c, h, w)

    @staticmethod
    def of_units(places: Int[Tensor, " n"], sizes: Float[Tensor, " n"], shape: tuple[int, ...]) -> "Patches":
        """Make windows of one pixel, from places in the flat image."""
        channels, height, width = shape
        values = sizes.new_zeros(len(places), channels, 1, 1)
        values[torch.arange(len(places)), places // (height * width), 0, 0] = sizes
        return Patches(values, places // width % height, places % width, shape)

    def __len__(self) -> int:
        """How many generators."""
        return len(self.values)

    def part(self, begin: int, end: int) -> "Patches":
        """Return some of them."""
        return Patches(self.values[begin:end], self.top[begin:end], self.left[begin:end], self.shape)

    def pick(self, which: Bool[Tensor, " n"]) -> "Patches":
        """Return those of a mask."""
        return Patches(self.values[which], self.top[which], self.left[which], self.shape)

    @staticmethod
    def joined(parts: "Sequence[Patches]") -> "Patches":
        """Put windows of one size together again."""
        values, top, left = (torch.cat([getattr(p, x) for p in parts]) for x in ("values", "top", "left"))
        return Patches(values, top, left, parts[0].shape)

    @property
    def share(self) -> float:
        """Which share of an image a window is."""
        return self.values.shape[2] * self.values.shape[3] / (self.shape[1] * self.shape[2])

    def _axes(self) -> tuple[Tensor, Tensor]:
        rows = self.top.unsqueeze(1) + torch.arange(self.values.shape[2])
        return rows, self.left.unsqueeze(1) + torch.arange(self.values.shape[3])

    def _inside(self) -> Tensor:
        """Return which places of the windows lie in the image, (n, 1, s, t)."""
        rows, columns = self._axes()
        down, across = (rows >= 0) & (rows < self.shape[1]), (columns >= 0) & (columns < self.shape[2])
        return (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1)

    def places(self) -> Int[Tensor, "n c s t"]:
        """Return where in the flat image each value lies; for what lies beyond, some place."""
        rows, columns = (x.clamp(0, side - 1) for x, side in zip(self._axes(), self.shape[1:], strict=True))
        flat = rows.unsqueeze(2) * self.shape[2] + columns.unsqueeze(1)
        channels = torch.arange(self.shape[0]).reshape(1, -1, 1, 1) * (self.shape[1] * self.shape[2])
        return channels + flat.unsqueeze(1)

    def cut(self) -> "Patches":
        """Set what lies beyond the image to 0."""
        return replace(self, values=self.values * self._inside())

    def scaled(self, factor: Float[Tensor, "c h w"]) -> "Patches":
        """Multiply by a factor for each pixel."""
        if len(factor.unique()) == 1:
            return replace(self, values=self.values * factor.flatten()[0])
        return replace(self, values=self.values * factor.flatten()[self.places()])

    def dense(self) -> Float[Tensor, "n c h w"]:
        """Write the generators out."""
        out = self.values.new_zeros(len(self), self.shape[0] * self.shape[1] * self.shape[2])
        return out.scatter_add_(1, self.places().flatten(1), self.values.flatten(1)).reshape(-1, *self.shape)

    def added(self, total: Float[Tensor, " pixels"], weights: Float[Tensor, " n"], absolute: bool) -> None:
        """Add their sum, or that of their absolute values, by weight, to a flat image."""
        values = self.values.abs() if absolute else self.values
        total.index_add_(0, self.places().flatten(), (values * weights.reshape(-1, 1, 1, 1)).flatten())

    def columns(self, which: Int[Tensor, " w"]) -> Float[Tensor, "w n"]:
        """Return their values at some places of the flat image."""
        height, width = self.shape[1:]
        channel, row, column = which // (height * width), which // width % height, which % width
        row = row.unsqueeze(1) - self.top
        column = column.unsqueeze(1) - self.left
        inside = (row >= 0) & (row < self.values.shape[2]) & (column >= 0) & (column < self.values.shape[3])
        index = (torch.arange(len(self)), channel.unsqueeze(1), row.clamp(0, self.values.shape[2] - 1))
        return torch.where(inside, self.values[(*index, column.clamp(0, self.values.shape[3] - 1))], 0.0)

    def convolved(
        self,
        weight: Float[Tensor, "out in height width"],
        padding: tuple[int, int, int, int],
        dilation: tuple[int, int],
        groups: int,
        shape: tuple[int, ...],
    ) -> "Patches":
        """Map by a convolution of stride 1, padding (left, right, top, bottom); `shape` is that of its result."""
        reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        values = F.conv2d(self.values, weight, None, 1, tuple(reach), dilation, groups)
        left, _, top, _ = padding
        return Patches(values, self.top + top - reach[0], self.left + left - reach[1], shape).cut()

    def pooled(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        dilation: tuple[int, int],
        winner: Int[Tensor, " windows"],
        keep: Bool[Tensor, " windows"],
        shape: tuple[int, ...],
    ) -> "Patches":
        """Take, for each window of a pool, the value at its winner's place, and 0 where `keep` is not."""
        begins = (self.top + padding[2], self.left + padding[0])
        out = self._reached(begins, kernel, stride, dilation, shape)
        places = out.places()
        taken = winner[places]
        height, width = self.shape[1:]
        row = taken // width % height - self.top.reshape(-1, 1, 1, 1)
        column = taken % width - self.left.reshape(-1, 1, 1, 1)
        rows, columns = self.values.shape[2:]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns) & keep[places]
        flat = (taken // (height * width) * rows + row.clamp(0, rows - 1)) * columns + column.clamp(0, columns - 1)
        values = self.values.flatten(1).gather(1, flat.flatten(1)).reshape(flat.shape)
        return replace(out, values=torch.where(inside, values, 0.0)).cut()

    def _reached(
        self,
        begins: tuple[Tensor, Tensor],
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        shape: tuple[int, ...],
    ) -> "Patches":
        """Return the windows of a result that these can reach, of zeros; they begin at `begins`, padding counted."""
        first, counts = [], []
        sides = zip(begins, self.values.shape[2:], kernel, stride, dilation, strict=True)
        for begin, size, kernel_, stride_, dilation_ in sides:
            reach = dilation_ * (kernel_ - 1)
            first.append(-((reach - begin) // stride_))
            counts.append((size - 1 + reach) // stride_ + 1)
        return Patches(self.values.new_zeros(len(self), shape[0], *counts), first[0], first[1], shape)
