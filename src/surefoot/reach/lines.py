"""Lines below and above a function of one number over intervals, from its description alone.

A line of any slope a lies above f on [l, u] once it is lifted by max (f(x) - a x). Where f - a x is convex that is
reached at an end; where it is concave, any tangent lies above it, whoever chose where it touches. So any slope gives a
sound line, and slopes may be chosen freely: by default for the least area, or by ascent. The offset's derivative in a
is -x*, x* being where the maximum is reached (the envelope theorem). Of a step function f - a x is largest at an end or
at a jump; at jumps of one height, one distance apart, it is linear in the jump, so that the first and the last suffice.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.rounding import unit_of
from surefoot.graph.functions import FAR, Function, Steps

WAVES = 6  # pieces of a periodic function that are looked at one by one; over more, only its range is known
STEPS = 16  # of a search for where a tangent of a given slope touches
SAMPLES = 12  # of the function, of which slopes are chosen; even, so that the middle lies between two
THIN = 2.0**-26  # of an interval's ends: in a thinner one differences of values are mostly rounding


def offset(function: Function, slope: Tensor, low: Tensor, high: Tensor, sign: float) -> Tensor:
    """Bound sign (f(x) - slope x) from above over low <= x <= high, all of shapes that broadcast.

    Infinite where f is not defined, or nothing is known. Differentiable in the slope.

    Property: sound in float64 for any slope; the least up to rounding and the search's error, of second order.
    """
    with torch.no_grad():
        bound, point = _greatest(function, slope.detach(), low, high, sign)
    if slope.requires_grad:
        bound = bound - sign * point * (slope - slope.detach())
    return bound


def interval(function: Function, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Enclose the values of f over intervals.

    Property: sound; exact up to rounding.
    """
    flat = torch.zeros_like(low)
    return -offset(function, flat, low, high, -1.0), offset(function, flat, low, high, 1.0)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes of lines below and above f over intervals, and the least and the greatest of use there."""

    below: Float[Tensor, "..."]
    above: Float[Tensor, "..."]
    least: Float[Tensor, "..."]
    greatest: Float[Tensor, "..."]

    def at(self, share: Tensor) -> Tensor:
        """Return the slope that lies so far, in [0, 1], from the least to the greatest."""
        return self.least + share * (self.greatest - self.least)

    def shares(self) -> tuple[Tensor, Tensor]:
        """Return how far `below` and `above` lie."""
        span = self.greatest - self.least
        span = torch.where(span > 0, span, 1.0)
        return tuple(((s - self.least) / span).clamp(0, 1) for s in (self.below, self.above))  # type: ignore[return-value]


def slopes_of(function: Function, low: Tensor, high: Tensor) -> Slopes:
    """Choose slopes for lines of least area: those of the hull of samples, at the middle of each interval.

    The area under a line is its value in the middle times the width. Nothing need be true of what is returned.
    """
    last, half = SAMPLES - 1, SAMPLES // 2
    width = high - low
    wide = width > THIN * torch.maximum(low.abs(), high.abs())
    cell = torch.where(wide, width, 1.0) / last
    values = torch.stack([function.value(low + width * (k / last)) for k in range(SAMPLES)])
    steps = values.diff(dim=0) / cell
    best = {sign: torch.full_like(low, -torch.inf) for sign in (1.0, -1.0)}
    chosen = {sign: torch.zeros_like(low) for sign in (1.0, -1.0)}
    right = torch.arange(half, SAMPLES, dtype=low.dtype).reshape(-1, *[1] * low.dim()) - last / 2
    for i in range(half):
        left = last / 2 - i
        middle = (values[i] * right + values[half:] * left) / (left + right)
        slope = (values[half:] - values[i]) / ((left + right) * cell)
        for sign in (1.0, -1.0):
            top = (sign * middle).max(0, keepdim=True)
            better = top.values[0] > best[sign]
            best[sign] = torch.where(better, top.values[0], best[sign])
            chosen[sign] = torch.where(better, slope.gather(0, top.indices)[0], chosen[sign])
    tangent = function.derivative((low + high) / 2)
    if function.waves is not None:  # over many waves a line is one of the range
        wide, tangent = wide & _near(function, low, high), torch.where(wide, 0.0, tangent)
    found = (chosen[-1.0], chosen[1.0], steps.amin(0), steps.amax(0))
    return Slopes(*(torch.where(wide, s, tangent).nan_to_num(0.0, 0.0, 0.0) for s in found))


@dataclass(frozen=True, eq=False)
class Lines:
    """below x + under <= f(x) <= above x + over, over intervals."""

    below: Float[Tensor, "..."]
    under: Float[Tensor, "..."]
    above: Float[Tensor, "..."]
    over: Float[Tensor, "..."]

    @property
    def both(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Slope and offset, below and above."""
        return (self.below, self.under), (self.above, self.over)

    @staticmethod
    def of(
        function: Function,
        low: Tensor,
        high: Tensor,
        slopes: Slopes,
        below: Tensor | None = None,
        above: Tensor | None = None,
    ) -> "Lines":
        """Take slopes by their shares in [0, 1], or those of least area."""
        lower = slopes.below if below is None else slopes.at(below)
        upper = slopes.above if above is None else slopes.at(above)
        under = -offset(function, lower, low, high, -1.0)
        return Lines(lower, under, upper, offset(function, upper, low, high, 1.0))


def _greatest(function: Function, slope: Tensor, low: Tensor, high: Tensor, sign: float) -> tuple[Tensor, Tensor]:
    slope, low, high = torch.broadcast_tensors(slope, low, high)
    unit = unit_of(low.dtype)
    if function.steps is not None:
        return _greatest_of_steps(function, function.steps, slope, low, high, sign, unit)
    total, where = torch.full_like(low, -torch.inf), low
    for piece in _pieces(function, low, high):
        bent = sign * piece.curvature
        used = piece.low <= piece.high
        if not bool(used.any()):
            continue
        at_low, at_high = (_at(function, slope, x, sign, unit) for x in (piece.low, piece.high))
        bound, point = torch.maximum(at_low, at_high), torch.where(at_low > at_high, piece.low, piece.high)
        arched = (bent < 0) & (piece.low < piece.high)
        if bool(arched.any()):
            touch = _touch(function, slope, piece, sign)
            tangent = _tangent(function, slope, touch, piece, sign, unit)
            bound, point = torch.where(arched, tangent, bound), torch.where(arched, touch, point)
        where = torch.where(used & (bound > total), point, where)
        total = torch.where(used, torch.maximum(total, bound), total)
    known = _by_range(function, slope, low, high, sign, unit)
    if function.waves is not None:
        total = torch.where(_near(function, low, high), total, torch.inf)
    total = torch.where(total <= known, total, known)  # also where it is no number
    return torch.where(function.defined(low, high) & ~total.isnan(), total, torch.inf), where


def _greatest_of_steps(
    function: Function, steps: Steps, slope: Tensor, low: Tensor, high: Tensor, sign: float, unit: float
) -> tuple[Tensor, Tensor]:
    total, where = torch.full_like(low, -torch.inf), low
    for x in (low, *steps.jumps(low, high), high):
        value = steps.greatest(function.value, x, high) if sign > 0 else steps.least(function.value, x, low)
        product = _product(slope, x)
        bound = sign * (value - product) + 4 * unit * (value.abs() + product.abs()) * (slope != 0)
        where = torch.where(bound > total, x, where)
        total = torch.maximum(total, bound)
    known = _by_range(function, slope, low, high, sign, unit)
    total = torch.where(total <= known, total, known)
    return torch.where(function.defined(low, high) & ~total.isnan(), total, torch.inf), where


@dataclass(frozen=True, eq=False)
class _Piece:
    """Where f is bent one way, (-1, 0 or 1 each); empty where low > high."""

    low: Tensor
    high: Tensor
    curvature: Tensor
    before: Tensor  # the last number before its end at a break, where the derivative is the next piece's


def _pieces(function: Function, low: Tensor, high: Tensor) -> Iterator[_Piece]:
    if function.waves is None:
        edges = (-math.inf, *function.breaks, math.inf)
        for left, right, bent in zip(edges, edges[1:], function.curvature, strict=False):
            curvature = low.new_tensor(float(bent))
            end = high.clamp(max=right)
            before = end if right == math.inf else end.clamp(max=math.nextafter(right, -math.inf))
            if low.dtype != torch.float64 and right != math.inf:
                before = end.clamp(max=float(torch.nextafter(low.new_tensor(right), low.new_tensor(-torch.inf))))
            yield _Piece(low.clamp(min=left), end, curvature, before)
        return
    first = torch.floor((low - function.waves) / math.pi)
    for k in range(WAVES):
        left, right = function.waves + (first + k) * math.pi, function.waves + (first + k + 1) * math.pi
        end = torch.minimum(high, right)
        even = (first + k).remainder(2) == 0
        begin = low if k == 0 else torch.maximum(low, left)  # what rounding leaves before the first belongs to it
        yield _Piece(begin, end, torch.where(even, -1.0, 1.0), end)


def _near(function: Function, low: Tensor, high: Tensor) -> Tensor:
    assert function.waves is not None
    last = function.waves + (torch.floor((low - function.waves) / math.pi) + WAVES) * math.pi
    return (high <= last) & (low >= -FAR) & (high <= FAR)


def _product(slope: Tensor, x: Tensor) -> Tensor:
    return torch.where(slope == 0, 0.0, slope * x)  # also where x is infinite


def _at(function: Function, slope: Tensor, x: Tensor, sign: float, unit: float) -> Tensor:
    """Bound sign (f(x) - slope x) from above at numbers x."""
    value, product = function.value(x), _product(slope, x)
    error = function.value_error(value) + 4 * unit * (value.abs() + product.abs())
    return sign * (value - product) + error


def _tangent(function: Function, slope: Tensor, touch: Tensor, piece: _Piece, sign: float, unit: float) -> Tensor:
    """Bound the tangent of sign (f(x) - slope x) at a point from above over a piece: at both of its ends.

    The value errs by its stated error, the rise by the derivative's times the way; each of the few operations in
    between by a unit of the sum of magnitudes.
    """
    value, rise, product = function.value(touch), function.derivative(touch), _product(slope, touch)
    relative, absolute = function.derivative_error
    wrong = relative * rise.abs() + absolute + 8 * unit * (rise.abs() + slope.abs())
    base = sign * (value - product)
    error = function.value_error(value) + 8 * unit * (value.abs() + product.abs())
    ends = (sign * (rise - slope) * (x - touch) + wrong * (x - touch).abs() for x in (piece.low, piece.high))
    return base + torch.maximum(*ends) + error


def _touch(function: Function, slope: Tensor, piece: _Piece, sign: float) -> Tensor:
    """Find about where sign (f' - slope), which falls over the piece, is 0: by bisection and false position in turn."""
    low, high = piece.low, piece.before

    def rise(x: Tensor) -> Tensor:
        return sign * (function.derivative(x) - slope)

    at_low, at_high = rise(low), rise(high)
    falls, best = at_low <= 0, torch.where(at_low <= 0, low, high)
    ends = falls | (at_high >= 0)
    for turn in range(STEPS if low.dtype == torch.float64 else STEPS // 2):
        share = (at_low / (at_low - at_high)).nan_to_num(0.5) if turn % 2 else 0.5  # slopes may be infinite
        x = low + (high - low) * share
        at_x = rise(x)
        up = at_x > 0
        low, at_low = torch.where(up, x, low), torch.where(up, at_x, at_low)
        high, at_high = torch.where(up, high, x), torch.where(up, at_high, at_x)
    nearer = torch.where(at_low < -at_high, low, high)
    return torch.where(ends, best, nearer)


def _by_range(function: Function, slope: Tensor, low: Tensor, high: Tensor, sign: float, unit: float) -> Tensor:
    """Bound sign (f(x) - slope x) by the range of f alone."""
    most = function.range[1] if sign > 0 else -function.range[0]
    products = torch.maximum(-sign * _product(slope, low), -sign * _product(slope, high))
    return torch.where(products == 0, most, most + products + 4 * unit * (abs(most) + products.abs()))
