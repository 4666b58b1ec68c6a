"""Bounds of a reduced network, and projected gradient ascent on its dual variables with the gradient in closed form.

Each unstable ReLU has one dual variable: while its sign is undecided the slope in [0, 1] of the line below it, once it
is decided the size of its multiplier (Wang et al. 2021, beta-CROWN). The gradient of the bound is the primal point at
which it is taken: the derivative in a slope is the coefficient, where positive, times the value that enters, and in a
multiplier minus that value times the sign.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.reach.adam import BETA, GAMMA, TINY
from surefoot.reach.reduced import ReducedNetwork, Rows
from surefoot.reach.unstable import Dual

RATE = 0.25
FADE = 0.96  # of the rate, a step
COMPACT = 0.75  # when so few rows are left to improve, the others are taken out


@dataclass(frozen=True, eq=False)
class Bound:
    """Lower bounds, the coefficients with which each ReLU was met, and those of the inputs."""

    values: Float[Tensor, " b"]
    entering: Float[Tensor, "b n"]
    input: Float[Tensor, "b d"]


class _Lines:
    """The lines that do not change in an ascent: slopes and offsets above, slopes below where a sign is decided."""

    def __init__(self, network: ReducedNetwork, signs: Float[Tensor, "n b"]) -> None:
        low, high = (torch.cat([getattr(layer, end) for layer in network.layers]) for end in ("low", "high"))
        slope = (high / (high - low)).unsqueeze(1)
        self.undecided = (signs == 0).to(low.dtype)
        self.active = (signs > 0).to(low.dtype)
        self.above = self.undecided * slope + self.active
        self.offset = self.undecided * (-slope * low.unsqueeze(1))
        self.signs = signs
        self.most = torch.where(signs == 0, 1.0, torch.inf)  # of a dual variable

    def below(self, dual: Tensor) -> Tensor:
        return torch.addcmul(self.active, self.undecided, dual)


def bound(network: ReducedNetwork, rows: Rows, dual: Dual) -> Bound:
    """Bound a row of each region from below."""
    lines = _Lines(network, dual.signs.T) if network.layers else None
    found = _backward(network, rows.matrix.T, rows.bias, lines, dual.values.T)
    return Bound(found.values, found.entering.T, found.input.T)


@dataclass(frozen=True, eq=False)
class _Columns:
    """A `Bound` with a column for each region: so products with sparse matrices are fast."""

    values: Float[Tensor, " b"]
    entering: Float[Tensor, "n b"]
    input: Float[Tensor, "d b"]


def _backward(network: ReducedNetwork, rows: Tensor, bias: Tensor, lines: "_Lines | None", dual: Tensor) -> _Columns:
    carried, total, d = rows.clone(memory_format=torch.contiguous_format), bias, network.inputs
    if lines is not None:
        below, multipliers = lines.below(dual), lines.signs * dual
        for layer in reversed(network.layers):
            part = layer.relu.places
            a = carried[d:][part]
            negative = a.clamp(max=0)
            back = a.clamp(min=0).mul_(below[part]).addcmul_(negative, lines.above[part]).sub_(multipliers[part])
            total = total + negative.mul_(lines.offset[part]).sum(0) + layer.bias @ back
            layer.products.add_transposed(carried[: d + layer.relu.begin], back)
    a = carried[:d]
    return _Columns(total + network.centre @ a - network.radius @ a.abs(), carried[d:], a)


def _forward(network: ReducedNetwork, lines: _Lines, below: Tensor, found: _Columns) -> Tensor:
    """Return what enters each ReLU at the primal point of a bound."""
    d = network.inputs
    point = below.new_empty(d + network.count, below.shape[1])
    torch.addcmul(
        network.centre.unsqueeze(1), torch.sign(found.input), network.radius.unsqueeze(1), value=-1, out=point[:d]
    )
    entering = torch.empty_like(below)
    for layer in network.layers:
        part = layer.relu.places
        z = torch.add(layer.products.of(point[: d + layer.relu.begin]), layer.bias.unsqueeze(1), out=entering[part])
        upper = torch.addcmul(lines.offset[part], z, lines.above[part])
        torch.where(found.entering[part] >= 0, z * below[part], upper, out=point[d:][part])
    return entering


def ascend(
    network: ReducedNetwork, rows: Rows, start: Dual, iterations: int, enough: float = float("inf")
) -> tuple[Dual, Float[Tensor, " b"]]:
    """Improve the dual variables of each region by Adam; stop where a bound is above `enough`.

    Returns the best that was met and its bound, which is not rounded: never below that of the start.
    """
    if not network.layers:
        return start, bound(network, rows, start).values
    kept = start.values.T.clone(memory_format=torch.contiguous_format)
    best = torch.full_like(rows.bias, -torch.inf)
    left = torch.arange(len(best))  # the regions that are still improved
    matrix, bias, x = rows.matrix.T, rows.bias, kept.clone()
    lines = _Lines(network, start.signs.T.contiguous())
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    for turn in range(iterations + 1):
        tick()
        found = _backward(network, matrix, bias, lines, x)
        better = found.values > best[left]
        improved = left[better]
        best[improved] = found.values[better]
        kept[:, improved] = x[:, better]
        if turn == iterations:
            break
        open_ = best[left] <= enough
        count = int(open_.sum())
        if not count:
            break
        if count <= COMPACT * len(left):
            left, bias, lines = left[open_], bias[open_], _Lines(network, lines.signs[:, open_])
            matrix, x, mean, square = (columns[:, open_] for columns in (matrix, x, mean, square))
            found = _Columns(found.values[open_], found.entering[:, open_], found.input[:, open_])
        z = _forward(network, lines, lines.below(x), found)
        slope = found.entering.clamp(min=0).mul_(lines.undecided).sub_(lines.signs)
        _step(x, z.mul_(slope), mean, square, turn)
        torch.minimum(x.clamp_(min=0), lines.most, out=x)
    return Dual(start.signs, kept.T.contiguous()), best


def _step(x: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, turn: int) -> None:
    """Adam, upwards (`reach.adam`)."""
    mean.lerp_(gradient, 1 - BETA)
    square.mul_(GAMMA).addcmul_(gradient, gradient, value=1 - GAMMA)
    size = square.sqrt().mul_((1 - GAMMA ** (turn + 1)) ** -0.5).add_(TINY)
    x.addcdiv_(mean, size, value=RATE * FADE**turn / (1 - BETA ** (turn + 1)))


def multipliers_of_parent(
    coefficient: Float[Tensor, " m"], slope: Float[Tensor, " m"], sign: Float[Tensor, " m"]
) -> Float[Tensor, " m"]:
    """Return the multipliers with which newly decided ReLUs are relaxed as they were undecided.

    A coefficient a > 0 was carried back as s a. With the value >= 0 it is a - m, so that m = (1 - s) a; with the value
    <= 0 it is m, so that m = s a. For a <= 0 the line above has no such multiplier, and m = 0.

    Property: from there, and a > 0, the bound of a child is that of its parent.
    """
    a = coefficient.clamp(min=0)
    return torch.where(sign > 0, (1 - slope) * a, slope * a)
