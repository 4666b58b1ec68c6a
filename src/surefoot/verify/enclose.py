"""What a fitted map makes of logits that are known only within bounds.

Bounds travel as one of two things: upper bounds on all differences of logits (softmax sees nothing else), or a box of
probabilities. Each step of a map takes one to the other; the ends are let out by far more than its arithmetic rounds.
"""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, magnitude
from surefoot.recalibrate.curves import Curve, Line, LogOdds, Stairs
from surefoot.recalibrate.steps import (
    ABOVE,
    Affine,
    Curves,
    FocalUndo,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    RowTemperature,
    Softmax,
    Step,
    TopCurve,
)

_SPARE = 1e-12  # more than any of these formulas loses in float64


@dataclass(frozen=True, eq=False)
class Differences:
    """upper[i, j] >= z_i - z_j."""

    upper: Float[np.ndarray, "k k"]


@dataclass(frozen=True, eq=False)
class ProbabilityBox:
    """lower <= p <= upper, class by class."""

    lower: Float[np.ndarray, " k"]
    upper: Float[np.ndarray, " k"]


Known: TypeAlias = Differences | ProbabilityBox


def enclose(steps: tuple[Step, ...], known: Known) -> ProbabilityBox:
    """Bound the probabilities that a map's steps give.

    Property: sound. Ends are attained for a softmax of one class's differences, and for monotone curves of them.

    Raises:
        InputError: a temperature that depends on the row, or an affine map that mixes classes after another step.
    """
    for step in steps:
        known = _through(step, known)
    return _box(known)


def _through(step: Step, known: Known) -> Known:
    match step:
        case Affine():
            return _scaled(step, _differences(known))
        case Softmax():
            return _softmax(_differences(known))
        case LogSoftmax():
            return _differences(known)
        case FocalUndo():
            return _undone(step, _differences(known))
        case RowTemperature():
            raise InputError("a temperature that depends on the row has no certified bounds; take another map")
        case Curves():
            box = _box(known)
            ends = [_curve(c, *pair) for c, pair in zip(_each(step.curves, box), _pairs(box), strict=True)]
            return ProbabilityBox(np.array([e[0] for e in ends]), np.array([e[1] for e in ends]))
        case TopCurve():
            return _top(step, _box(known))
        case Normalise():
            return _shares(_box(known))
        case Reweigh():
            box = _box(known)
            return _shares(ProbabilityBox(box.lower * step.factors, box.upper * step.factors))
        case Mix():
            parts = [enclose(part, known) for part in step.parts]
            rest = max(1.0 - step.weights.sum(), 0.0) / len(parts[0].lower)
            low = sum(w * p.lower for w, p in zip(step.weights, parts, strict=True)) + rest
            high = sum(w * p.upper for w, p in zip(step.weights, parts, strict=True)) + rest
            return _out(low, high)
        case _:
            assert_never(step)


def _out(low: np.ndarray, high: np.ndarray) -> ProbabilityBox:
    return ProbabilityBox(np.clip(low - _SPARE, 0, 1), np.clip(high + _SPARE, 0, 1))


def _differences(known: Known) -> Differences:
    if isinstance(known, Differences):
        return known
    with np.errstate(divide="ignore"):
        low, high = np.log(known.lower), np.log(known.upper)
    upper = high[:, None] - low[None]
    np.fill_diagonal(upper, 0.0)
    return Differences(upper)


def _box(known: Known) -> ProbabilityBox:
    return known if isinstance(known, ProbabilityBox) else _softmax(known)


def _scaled(step: Affine, known: Differences) -> Differences:
    """One positive factor, and biases: exact. Anything else belongs to the network, where it is bounded whole."""
    if step.weight.ndim or float(step.weight) < 0:
        raise InputError("an affine map of several weights must be the map's first step: append it to the network")
    bias = np.broadcast_to(step.bias, (len(known.upper),))
    moved, shift = float(step.weight) * known.upper, bias[:, None] - bias[None]
    size = magnitude(step.weight) * magnitude(known.upper) + np.abs(bias)[:, None] + np.abs(bias)[None]
    upper = moved + shift + 8 * DOUBLE * size
    np.fill_diagonal(upper, 0.0)
    return Differences(upper)


def _softmax(known: Differences) -> ProbabilityBox:
    """p_j >= 1 / sum_i exp(upper[i, j]), and <= 1 / sum_i exp(-upper[j, i]): each end uses each difference once."""
    with np.errstate(over="ignore"):
        low = np.exp(-np.asarray(logsumexp(known.upper, axis=0)))
        high = np.exp(-np.asarray(logsumexp(-known.upper, axis=1)))
    return _out(low * (1 - _SPARE), high * (1 + _SPARE))


def _undone(step: FocalUndo, known: Differences) -> Differences:
    """Look at the ends: log v - log g(v) rises with v, but where gamma changes; at both sides of there too."""
    box = _softmax(known)
    low, high = np.empty(len(box.lower)), np.empty(len(box.lower))
    for j, (a, b) in enumerate(_pairs(box)):
        between = step.thresholds[(step.thresholds >= a) & (step.thresholds <= b)]
        points = np.clip(np.concatenate([[a, b], between, np.nextafter(between, 0)]), 1e-300, 1 - 2.0**-53)
        values = step(np.stack([np.log(points), np.log1p(-points)], 1))[:, 0]
        low[j], high[j] = values.min(), values.max()
        low[j] -= 1e-9 * (1 + abs(low[j]))
        high[j] += 1e-9 * (1 + abs(high[j]))
    upper = high[:, None] - low[None]
    np.fill_diagonal(upper, 0.0)
    return Differences(upper)


def _pairs(box: ProbabilityBox) -> list[tuple[float, float]]:
    return list(zip(box.lower.tolist(), box.upper.tolist(), strict=True))


def _each(curves: tuple[Curve, ...], box: ProbabilityBox) -> tuple[Curve, ...]:
    return curves * len(box.lower) if len(curves) == 1 else curves


def _curve(curve: Curve, a: float, b: float) -> tuple[float, float]:
    """Bound a curve over [a, b]: its ends, and every corner between them."""
    match curve:
        case Line():
            points = np.concatenate([[a, b], curve.x[(curve.x > a) & (curve.x < b)]])
        case Stairs():
            edges = curve.edges[(curve.edges >= a) & (curve.edges < b)]
            points = np.concatenate([[a, b], edges, np.nextafter(edges, 2)])
        case LogOdds():  # a log s - b log(1 - s) turns where a / s + b / (1 - s) = 0
            turn = curve.a / (curve.a - curve.b) if curve.a != curve.b else -1.0
            points = np.array([a, b, turn] if a < turn < b else [a, b])
        case _:
            assert_never(curve)
    values = curve(points)
    return float(values.min()) - _SPARE, float(values.max()) + _SPARE


def _shares(box: ProbabilityBox) -> ProbabilityBox:
    """p_j / (p_j + the others): rises with p_j, falls with the others."""
    low, high = box.lower.clip(min=0), box.upper.clip(min=0)
    others_low, others_high = low.sum() - low, high.sum() - high
    with np.errstate(invalid="ignore", divide="ignore"):
        least = np.where(low + others_high > 0, low / (low + others_high), 0.0)
        most = np.where(high + others_low > 0, high / (high + others_low), 1.0)
    if low.sum() <= 0:  # all may be 0, and then parts are equal
        least, most = np.minimum(least, 1 / len(low)), np.maximum(most, 1 / len(low))
    return _out(least, most)


def _top(step: TopCurve, box: ProbabilityBox) -> ProbabilityBox:
    """Where one class is certainly the largest its end points go through its curve; the others share what is left."""
    k = len(box.lower)
    top = int(box.lower.argmax())
    if (np.delete(box.upper, top) >= box.lower[top]).any():
        return ProbabilityBox(np.zeros(k), np.ones(k))
    low, high = _curve(_each(step.curves, box)[top], float(box.lower[top]), float(box.upper[top]))
    # the value is held above r / (1 + r), r the runner-up's share of the rest, which is between 1 / (k - 1) and 1
    least, most = ABOVE / (k - 1), ABOVE
    low, high = max(low, least / (1 + least)), max(high, most / (1 + most))
    lower, upper = np.zeros(k), np.full(k, 1 - low)
    lower[top], upper[top] = low, high
    return _out(lower, upper)
