"""The checker's own lines and planes below and above operations: ReLUs, products, and functions from their description.

With f a function of one number and any slope s, f(x) <= s x + max (f - s x). Where f - s x is convex the maximum is at
an end; where it is concave every tangent lies above, so that where it touches need not be trusted. Of steps the
maximum is at an end, or at the first or the last jump.
"""

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch

from surefoot.graph.functions import FAR, Function, Steps

Box: TypeAlias = tuple[np.ndarray, np.ndarray]
LEAST = 1e-150
_U = 2.0**-53
_WAVES = 6  # pieces of a periodic function that are looked at; of more only the range is used
_STEPS = 40  # of a bisection
_SAMPLES = 12  # of the function, for the slopes that are proposed: any would do
_THIN = 2.0**-26


def sized(x: np.ndarray) -> np.ndarray:
    """Return |x|, what is not 0 being at least 1e-150: gamma of a product of two is then more than any that is lost."""
    return np.where(x == 0, 0.0, np.maximum(np.abs(x), LEAST))


def rectifier(
    a: np.ndarray, low: np.ndarray, high: np.ndarray, proposed: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Put the proposed line below max(x, 0) and the triangle's side above: constants, coefficients of x."""
    unstable = (low < 0) & (high > 0)
    above = np.where(unstable, high / np.where(unstable, high - low, 1.0), (low >= 0) * 1.0)
    slopes = (high > -low) * 1.0 if proposed is None else proposed
    below = np.where(unstable, np.clip(slopes, 0.0, 1.0), above)
    negative = np.minimum(a, 0)
    return (negative * np.where(unstable, -above * low, 0.0)).sum(1), np.maximum(a, 0) * below + negative * above


def product(a: np.ndarray, x: Box, y: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put planes for x y (McCormick 1976), of each two their mean: constants, coefficients of x and of y."""
    (xl, xu), (yl, yu) = x, y
    below, above = -(xl * yl + xu * yu) / 2, -(xl * yu + xu * yl) / 2
    constant = np.maximum(a, 0) @ below + np.minimum(a, 0) @ above
    return constant, a * ((yl + yu) / 2), a * ((xl + xu) / 2)


@np.errstate(all="ignore")
def smooth(
    a: np.ndarray, function: Function, low: np.ndarray, high: np.ndarray, shares: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put lines below and above f(x): constants of each value, coefficients of x, and what |a| multiplies at most.

    `shares` (2 n, or a row for each of a): how far slopes lie from the least to the greatest of use, below first.
    """
    below, above, least, greatest = _proposed(function, low, high)
    if shares is not None:
        part = np.clip(np.split(shares.astype(np.float64), 2, -1), 0.0, 1.0)
        below, above = (least + share * (greatest - least) for share in part)
    under, over = -highest(function, below, low, high, -1.0), highest(function, above, low, high, 1.0)
    positive = a > 0
    constant = np.where(a == 0, 0.0, a * np.where(positive, under, over))
    slope = np.where(positive, below, above)
    most = sized(slope) * sized(np.maximum(np.abs(low), np.abs(high))) + sized(np.where(positive, under, over))
    return constant, a * slope, np.where(a == 0, 0.0, sized(a) * most)


def values_between(function: Function, low: np.ndarray, high: np.ndarray) -> Box:
    """Enclose f over intervals: lines of slope 0."""
    flat = np.zeros_like(low)
    return -highest(function, flat, low, high, -1.0), highest(function, flat, low, high, 1.0)


@np.errstate(all="ignore")
def highest(function: Function, slope: np.ndarray, low: np.ndarray, high: np.ndarray, sign: float) -> np.ndarray:
    """Bound sign (f(x) - slope x) from above over low <= x <= high; infinite where f is not defined, or not known.

    The errors that are allowed for are those that the description states, and of each sum and product 2^-53 of it.
    """
    slope, low, high = np.broadcast_arrays(slope, low, high)
    if function.steps is not None:
        return _highest_step(function, function.steps, slope, low, high, sign)

    def at(x: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
        """Bound the value at x, or at `other` the tangent of x."""
        value, product = _of(function.value, x), slope * x
        total = sign * (value - product)
        error = function.error[0] * np.abs(value) + function.error[1] + 8 * _U * (np.abs(value) + np.abs(product))
        if other is not None:
            rise, way = _of(function.derivative, x), other - x
            wrong = function.derivative_error[0] * np.abs(rise) + function.derivative_error[1]
            wrong = wrong + 8 * _U * (np.abs(rise) + np.abs(slope))
            total, error = total + sign * (rise - slope) * way, error + wrong * np.abs(way)
        return total + error

    best, left = np.full(low.shape, -np.inf), low
    for end, before, bent in _pieces(function, low, high):
        begin, stop = left, np.minimum(high, end)
        touch = _touching(function, slope, begin, np.minimum(stop, before), sign)
        arched = (sign * bent < 0) & (begin < stop)
        tangents = np.maximum(at(touch, begin), at(touch, stop))
        bound = np.where(arched, tangents, np.maximum(at(begin), at(stop)))
        best = np.where(begin <= stop, np.maximum(best, bound), best)  # what is no number stays none
        left = np.maximum(left, end)
    if function.waves is not None:
        best = np.where((left >= high) & (low >= -FAR) & (high <= FAR), best, np.inf)
    most = function.range[1] if sign > 0 else -function.range[0]
    rest = np.where(slope == 0, 0.0, np.maximum(-sign * slope * low, -sign * slope * high))
    known = np.where(rest == 0, most, most + rest + 8 * _U * (abs(most) + np.abs(rest)))
    best = np.where(best <= known, best, known)
    defined = function.defined(torch.tensor(low), torch.tensor(high)).numpy()
    return np.where(defined & ~np.isnan(best), best, np.inf)


def _highest_step(
    function: Function, steps: Steps, slope: np.ndarray, low: np.ndarray, high: np.ndarray, sign: float
) -> np.ndarray:
    """Bound sign (f(x) - slope x) from above: equal jumps at equal distances, so that it is linear in the jump."""
    first, last = _of(steps.first, low), _of(steps.last, high)
    inside = (first, first + steps.apart, last, last - steps.apart)  # the second ones where rounding left one out
    bounds = []
    for x in (low, high, *(np.clip(jump, low, high) for jump in inside)):
        sides = [_of(side, x) for side in (steps.before, function.value, steps.after)]
        inner = x < high if sign > 0 else x > low
        value = np.where(inner | (not steps.exact), sides[1 + int(sign)], sides[1])
        rest = np.where(slope == 0, 0.0, slope * x)
        error = np.where(slope == 0, 0.0, 8 * _U * (np.abs(value) + np.abs(rest)))
        bounds.append(sign * (value - rest) + error)
    best = np.maximum.reduce(bounds)
    defined = (low <= high) & ~np.isnan(best)
    return np.where(defined, best, np.inf)


def _of(compute: object, x: np.ndarray) -> np.ndarray:
    return np.asarray(compute(torch.tensor(x)).numpy())  # type: ignore[operator]


def _pieces(
    function: Function, low: np.ndarray, high: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the ends of pieces from the first on, the last number before each, and how f is bent up to there."""
    if function.waves is None:
        for end, bent in zip((*function.breaks, math.inf), function.curvature, strict=True):
            yield tuple(np.full(low.shape, v) for v in (end, np.nextafter(end, -np.inf), float(bent)))  # type: ignore[misc]
        return
    first = np.floor((low - function.waves) / math.pi)
    for k in range(_WAVES):
        end = function.waves + (first + k + 1) * math.pi
        yield end, end, np.where((first + k) % 2 == 0, -1.0, 1.0)


def _touching(function: Function, slope: np.ndarray, low: np.ndarray, high: np.ndarray, sign: float) -> np.ndarray:
    """Find about where f' passes the slope, sign (f' - slope) being positive before: the middle, where nothing is."""
    low, high = low.copy(), np.maximum(low, high)
    for _ in range(_STEPS):
        middle = low + (high - low) / 2
        before = sign * (_of(function.derivative, middle) - slope) > 0
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return low + (high - low) / 2


def _proposed(function: Function, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
    """Propose slopes below and above of about the least area, and the least and the greatest of use."""
    last, half = _SAMPLES - 1, _SAMPLES // 2
    width = high - low
    wide = width > _THIN * np.maximum(np.abs(low), np.abs(high))
    if function.waves is not None:
        first = np.floor((low - function.waves) / math.pi)
        wide = wide & (high <= function.waves + (first + _WAVES) * math.pi) & (low >= -FAR) & (high <= FAR)
    cell = np.where(wide, width, 1.0) / last
    values = [_of(function.value, low + width * (k / last)) for k in range(_SAMPLES)]
    steps = np.diff(np.stack(values), axis=0) / cell
    best = {sign: np.full(low.shape, -np.inf) for sign in (1.0, -1.0)}
    slopes = {sign: np.zeros(low.shape) for sign in (1.0, -1.0)}
    for i in range(half):
        for j in range(half, _SAMPLES):
            left, right = last / 2 - i, j - last / 2
            middle = (values[i] * right + values[j] * left) / (j - i)
            for sign in (1.0, -1.0):
                better = sign * middle > best[sign]
                best[sign] = np.where(better, sign * middle, best[sign])
                slopes[sign] = np.where(better, (values[j] - values[i]) / ((j - i) * cell), slopes[sign])
    tangent = _of(function.derivative, (low + high) / 2)
    if function.waves is not None:
        tangent = np.where(width > _THIN * np.maximum(np.abs(low), np.abs(high)), 0.0, tangent)
    found = (slopes[-1.0], slopes[1.0], steps.min(0), steps.max(0))
    return tuple(np.nan_to_num(np.where(wide, s, tangent), nan=0.0, posinf=0.0, neginf=0.0) for s in found)
