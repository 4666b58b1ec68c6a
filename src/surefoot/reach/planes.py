"""Lines and planes below and above operations of several values: max pooling, and products (McCormick 1976)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.core.rounding import magnitude
from surefoot.graph.ops import MaxPool2d
from surefoot.reach.ibp import Box


@dataclass(frozen=True, eq=False)
class PoolLines:
    """Lines below and above the largest value of each window, over b regions.

    Below lies the element with the best lower bound, and above too where it alone can be the largest; else a constant.
    Tighter planes above come from writing the pool with ReLUs first (`pools_as_relus`).
    """

    shape: tuple[int, ...]  # of what enters
    windows: Int[Tensor, "windows places"]
    best: Int[Tensor, "b windows"]  # the place of the element
    alone: Bool[Tensor, "b windows"]
    above: Float[Tensor, "b windows"]

    @staticmethod
    def of(op: MaxPool2d, x: Box) -> "PoolLines":
        """Find the lines of a pool over boxes of what enters."""
        shape = tuple(x.lower.shape[1:])
        windows = op.windows(shape)
        place, padding = windows.clamp(min=0), windows < 0
        lows = torch.where(padding, -torch.inf, x.lower.flatten(1)[:, place])  # (b, w, k)
        highs = torch.where(padding, -torch.inf, x.upper.flatten(1)[:, place])
        best = lows.argmax(2, keepdim=True)
        alone = (highs > lows.max(2, keepdim=True).values).scatter(2, best, False).any(2).logical_not()
        above = torch.where(alone, 0.0, highs.max(2).values)
        return PoolLines(shape, windows, windows.expand(len(best), -1, -1).gather(2, best).squeeze(2), alone, above)

    def constant(self, a: Tensor) -> Tensor:
        """Return what coefficients a (b, s, *out) meet of the constants above."""
        return (a.flatten(2).clamp(max=0) * self.above.unsqueeze(1)).reshape(a.shape)

    def back(self, a: Tensor) -> Tensor:
        """Return the coefficients of what enters."""
        flat = a.flatten(2)
        carried = torch.where(self.alone.unsqueeze(1), flat, flat.clamp(min=0))
        back = a.new_zeros(*a.shape[:2], math.prod(self.shape))
        back = back.scatter_add(2, self.best.unsqueeze(1).expand(*a.shape[:2], -1), carried)
        return back.reshape(*a.shape[:2], *self.shape)

    def around(self, value: Tensor, error: Tensor, out: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        """Return by how much the lines move around values (1, *shape), (1, *out), their error, and the size of both."""
        shape = out.shape[1:]
        alone, top = self.alone.reshape(-1, *shape), magnitude(out)
        below = torch.where(alone, 0.0, value.flatten()[self.best].reshape(-1, *shape) - out).unsqueeze(1)
        above = torch.where(alone, 0.0, -out).unsqueeze(1)
        place, padding = self.windows.clamp(min=0), self.windows < 0
        most = error.flatten()[place].masked_fill(padding, 0.0).max(1).values.reshape(1, *shape)
        size = torch.where(alone, 0.0, 2 * top + self.above.abs().reshape(-1, *shape) - below.squeeze(1))
        wrong = torch.where(alone, 0.0, 2 * most)
        return lambda a: a.clamp(min=0) * below + a.clamp(max=0) * above, wrong, size


def planes_of_product(x: Box, y: Box) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Give planes p x + q y + r below and above x y (McCormick 1976): of each pair the one better in the middle."""
    xl, xu, yl, yu = (t.unsqueeze(1) for t in (x.lower, x.upper, y.lower, y.upper))
    # Below, x y >= yl x + xl y - xl yl and >= yu x + xu y - xu yu;
    # above, x y <= yl x + xu y - xu yl and <= yu x + xl y - xl yu.
    # In the middle of the box the two of a pair are equal, so we take their mean: a valid plane too.
    below = ((yl + yu) / 2, (xl + xu) / 2, -(xl * yl + xu * yu) / 2)
    above = ((yl + yu) / 2, (xl + xu) / 2, -(xu * yl + xl * yu) / 2)
    return below, above


def through_product(a: Tensor, x: Box, y: Box) -> tuple[Tensor, Tensor]:
    """Carry coefficients a (b, s, *shape) of a product back to its two factors."""
    (p, q, _), (s, t, _) = planes_of_product(x, y)
    positive, negative = a.clamp(min=0), a.clamp(max=0)
    return positive * p + negative * s, positive * q + negative * t


def product_constant(a: Tensor, x: Box, y: Box) -> Tensor:
    """Return what they meet of the constants of the planes."""
    (_, _, r), (_, _, v) = planes_of_product(x, y)
    return a.clamp(min=0) * r + a.clamp(max=0) * v
