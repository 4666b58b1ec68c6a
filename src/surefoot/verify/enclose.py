"""What a fitted calibrator makes of logits that are known only within bounds.

Bounds travel as one of two things, after the domain of what they bound: upper bounds on all differences of logits
(softmax sees nothing else; behind a log-softmax, also bounds on each logit), or a box of scores. Each step of a
calibrator takes one to the other; the ends are let out by far more than its arithmetic rounds. A bound that is no
number (infinite ones were subtracted) is no bound: it is let go.
"""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit, logsumexp

from surefoot.core.errors import InputError
from surefoot.core.rounding import ELEMENTARY, formula_error, magnitude, step_error, sum_error
from surefoot.recalibrate.checks import check_steps
from surefoot.recalibrate.curves import CalibrationCurve, LogOddsCurve, PiecewiseLinear, StepFunction
from surefoot.recalibrate.steps import (
    ABOVE,
    Affine,
    Curves,
    Domain,
    InverseFocal,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    RowTemperature,
    Softmax,
    Step,
    TopCurve,
)

_LEAST = 2.0**-53  # scores nearer to 0 or 1 than this count as this far away (`LogOddsCurve`)


@dataclass(frozen=True, eq=False)
class Differences:
    """upper[i, j] >= z_i - z_j; and between what each z_i lies, where that is known."""

    upper: Float[np.ndarray, "k k"]
    each: "tuple[Float[np.ndarray, ' k'], Float[np.ndarray, ' k']] | None" = None


@dataclass(frozen=True, eq=False)
class ProbabilityBox:
    """lower <= p <= upper, class by class."""

    lower: Float[np.ndarray, " k"]
    upper: Float[np.ndarray, " k"]


Enclosed: TypeAlias = Differences | ProbabilityBox


def enclose(steps: tuple[Step, ...], known: Enclosed) -> ProbabilityBox:
    """Bound the probabilities that a calibrator's steps give, from what is known of logits, or of probabilities.

    Property: sound. Ends are attained for a softmax of one class's differences, and for monotone curves of them.

    Raises:
        InputError: steps that are no calibrator of what is given (`check_steps`), a temperature that depends on the
            row, or an affine step of several weights on logits of which only differences are known: append it to the
            network, where it is bounded whole.
    """
    is_logits = isinstance(known, Differences)
    k = len(known.upper)
    check_steps(steps, k, Domain.LOGITS if is_logits else Domain.PROBABILITIES)
    with np.errstate(all="ignore"):
        return _enclose(steps, _cleared(known.upper, known.each) if isinstance(known, Differences) else known)


def _enclose(steps: tuple[Step, ...], known: Enclosed) -> ProbabilityBox:
    for step in steps:
        known = _through(step, known)
    assert isinstance(known, ProbabilityBox)  # checked by `check_steps`
    return known


def _through(step: Step, known: Enclosed) -> Enclosed:
    return _of_logits(step, known) if isinstance(known, Differences) else _of_scores(step, known)


def _of_logits(step: Step, known: Differences) -> Enclosed:
    match step:
        case Affine():
            return _affine(step, known)
        case Softmax():
            return _softmax(known)
        case LogSoftmax():
            return _log_softmax(known)
        case InverseFocal():
            return _undone(step, known)
        case RowTemperature():
            raise InputError(
                "a temperature that depends on the row has no certified bounds: learn another calibrator, such as "
                "`surefoot recalibrate --method temperature`"
            )
        case Mix():
            return _mixed(step, known)
        case Curves() | TopCurve() | Normalise() | Reweigh():
            raise AssertionError(step)  # refused by `check_steps`
        case _:
            assert_never(step)


def _of_scores(step: Step, box: ProbabilityBox) -> ProbabilityBox:
    match step:
        case Curves():
            ends = [_curve(c, *pair) for c, pair in zip(_each(step.curves, box), _pairs(box), strict=True)]
            return ProbabilityBox(np.array([e[0] for e in ends]), np.array([e[1] for e in ends]))
        case TopCurve():
            return _top(step, box)
        case Normalise():
            return _shares(box)
        case Reweigh():
            factors = step.scaled()
            return _shares(ProbabilityBox(box.lower * factors, box.upper * factors))
        case Mix():
            return _mixed(step, box)
        case Affine() | Softmax() | LogSoftmax() | InverseFocal() | RowTemperature():
            raise AssertionError(step)  # refused by `check_steps`
        case _:
            assert_never(step)


def _mixed(step: Mix, known: Enclosed) -> ProbabilityBox:
    parts = [_enclose(part, known) for part in step.parts]
    rest = max(1.0 - step.weights.sum(), 0.0) / len(known.upper)
    low = sum(w * p.lower for w, p in zip(step.weights, parts, strict=True)) + rest
    high = sum(w * p.upper for w, p in zip(step.weights, parts, strict=True)) + rest
    return _out(low, high)


def _out(low: np.ndarray, high: np.ndarray) -> ProbabilityBox:
    spare = formula_error(0.0, len(low))
    return ProbabilityBox(np.clip(low - spare, 0, 1), np.clip(high + spare, 0, 1))


def _cleared(upper: np.ndarray, each: tuple[np.ndarray, np.ndarray] | None = None) -> Differences:
    """Return bounds on logits; what is no number bounds nothing, and a logit does not differ from itself."""
    upper = np.where(np.isnan(upper), np.inf, upper)
    np.fill_diagonal(upper, 0.0)
    if each is None:
        return Differences(upper)
    low, high = each
    return Differences(upper, (np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)))


def _affine(step: Affine, known: Differences) -> Differences:
    """One factor, and biases: exact. Several: by intervals, which each logit must have."""
    if not step.weight.ndim:
        return _scaled(step, known)
    if known.each is None:
        raise InputError(
            "an affine step of several weights must be the calibrator's first, or follow a log-softmax: append it to "
            "the network"
        )
    low, high = known.each
    k, top = len(low), int(np.argmax(low))
    weight = step.weight if step.weight.ndim == 2 else np.diag(step.weight)
    bias = np.broadcast_to(step.bias, (k,))
    above, below = known.upper[:, top], -known.upper[top]  # between these lies z - z_top
    largest, farthest = (np.maximum(np.abs(a), np.abs(z)) for a, z in ((low, high), (below, above)))
    lost = step_error(4, float(k + 8))
    size = _sums(magnitude(weight), magnitude(largest)) + np.abs(bias)
    through_top = size + _sums(magnitude(weight), magnitude(farthest) + magnitude(largest[top]))
    upper = np.zeros((k, k))
    for i in range(k):  # sum_m c_m z_m, by each z_m; and by each z_m - z_top, with z_top times the sum of c
        c = weight[i] - weight
        each = _sums(np.maximum(c, 0), high) + _sums(np.minimum(c, 0), low)
        apart = _sums(np.maximum(c, 0), above) + _sums(np.minimum(c, 0), below)
        total = c.sum(1)
        apart += np.maximum(_times(total, low[top]), _times(total, high[top]))
        pays = each + lost * (size[i] + size), apart + lost * (through_top[i] + through_top)
        upper[i] = np.fmin(*pays) + bias[i] - bias
    least = _sums(np.maximum(weight, 0), low) + _sums(np.minimum(weight, 0), high) + bias - lost * size
    most = _sums(np.maximum(weight, 0), high) + _sums(np.minimum(weight, 0), low) + bias + lost * size
    return _cleared(upper, (least, most))


def _times(a: np.ndarray, b: np.ndarray | np.floating) -> np.ndarray:
    """Multiply; what is multiplied by 0 is 0, be it ever so large."""
    return np.where(a == 0, 0.0, a * b)


def _sums(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the products of each row with the values, added up."""
    return _times(weight, values).sum(1)


def _log_softmax(known: Differences) -> Differences:
    """Bound log p_j = -log sum_i exp(z_i - z_j), each difference used once; differences stay."""
    low = -np.asarray(logsumexp(known.upper, axis=0))
    high = -np.asarray(logsumexp(-known.upper, axis=1))
    return _cleared(known.upper, (_let_out(low, -1), np.minimum(_let_out(high, 1), 0.0)))


def _scaled(step: Affine, known: Differences) -> Differences:
    """Take all logits by one factor."""
    factor = float(step.weight)
    upper = known.upper if factor > 0 else known.upper.T  # z_j - z_i, where the factor turns it round
    moved = abs(factor) * upper if factor else np.zeros_like(upper)
    bias = np.broadcast_to(step.bias, (len(upper),))
    size = magnitude(step.weight) * magnitude(upper) + np.abs(bias)[:, None] + np.abs(bias)[None]
    size = size if factor else np.where(np.isfinite(size), size, np.abs(bias)[:, None] + np.abs(bias)[None])
    each = None
    if known.each is not None:
        ends = np.sort(np.stack([_times(step.weight, end) for end in known.each]), axis=0) + bias
        slack = step_error(4, np.abs(ends) + np.abs(bias))
        each = ends[0] - slack[0], ends[1] + slack[1]
    return _cleared(moved + (bias[:, None] - bias[None]) + step_error(4, size), each)


def _softmax(known: Differences) -> ProbabilityBox:
    """p_j >= 1 / sum_i exp(upper[i, j]), and <= 1 / sum_i exp(-upper[j, i]): each end uses each difference once."""
    low = np.exp(-np.asarray(logsumexp(known.upper, axis=0)))
    high = np.exp(-np.asarray(logsumexp(-known.upper, axis=1)))
    return _out(low, high)


def _undone(step: InverseFocal, known: Differences) -> Differences:
    """Bound log v - log g(v), which rises with v but where gamma changes, at the ends of each part with one gamma.

    v is kept as t = log v - log(1 - v), which tells apart what is near 0 and near 1: -t is a log-sum of differences.
    """
    k = len(known.upper)
    others = ~np.eye(k, dtype=bool)
    spare = sum_error(k, 1.0)  # what a sum is off by, as a share of it, its logarithm is off by as it stands
    from_below = -np.asarray(logsumexp(np.where(others, known.upper, -np.inf), axis=0)) - spare
    from_above = -np.asarray(logsumexp(np.where(others, -known.upper, -np.inf), axis=1)) + spare
    ends = np.r_[-np.inf, logit(step.thresholds), np.inf]
    low, high = np.full(k, np.inf), np.full(k, -np.inf)
    for gamma, first, last in zip(step.gammas, ends[:-1], ends[1:], strict=True):
        one = InverseFocal(np.array([gamma]), np.zeros(0))
        a, b = (np.clip(t, first, last) for t in (from_below, from_above))
        here = (_let_out(from_below, -1) <= _let_out(np.array(last), 1)) & (
            _let_out(from_above, 1) >= _let_out(np.array(first), -1)
        )
        low = np.where(here, np.minimum(low, _let_out(_undone_at(one, _let_out(a, -1)), -1)), low)
        high = np.where(here, np.maximum(high, _let_out(_undone_at(one, _let_out(b, 1)), 1)), high)
    return _cleared(high[:, None] - low[None], (low, high))


def _let_out(x: np.ndarray, sign: float) -> np.ndarray:
    return np.where(np.isfinite(x), x + sign * formula_error(np.abs(x)), x)


def _undone_at(step: InverseFocal, t: np.ndarray) -> np.ndarray:
    """Compute log v - log g(v) of v = sigmoid(t)."""
    values = step(np.stack([np.clip(t, -1e300, 1e300), np.zeros_like(t)], 1))[:, 0]
    return np.where(np.isfinite(t), values, np.sign(t) * np.inf)


def _pairs(box: ProbabilityBox) -> list[tuple[float, float]]:
    return list(zip(box.lower.tolist(), box.upper.tolist(), strict=True))


def _each(curves: tuple[CalibrationCurve, ...], box: ProbabilityBox) -> tuple[CalibrationCurve, ...]:
    return curves * len(box.lower) if len(curves) == 1 else curves


def _curve(curve: CalibrationCurve, a: float, b: float) -> tuple[float, float]:
    """Bound a curve over [a, b]: its ends, and every corner between them."""
    match curve:
        case PiecewiseLinear():
            values = curve(np.concatenate([[a, b], curve.x[(curve.x > a) & (curve.x < b)]]))
        case StepFunction():
            first, last = np.searchsorted(curve.edges, [a, b], side="left")
            values = curve.values[first : last + 1]
        case LogOddsCurve():
            return _log_odds(curve, a, b)
        case _:
            assert_never(curve)
    return float(values.min()) - ELEMENTARY, float(values.max()) + ELEMENTARY


def _log_odds(curve: LogOddsCurve, a: float, b: float) -> tuple[float, float]:
    """Bound sigmoid(a log s - b log(1 - s) + c): it turns where a / s + b / (1 - s) = 0, if signs differ.

    There s = 1 / (1 + r) and 1 - s = r / (1 + r) with r = -b / a: the logarithms of both are taken from r, for the
    rounding of an s near 1 is much of what is left of it.
    """
    s = np.array([a, b]).clip(_LEAST, 1 - _LEAST)
    logs = np.stack([np.log(s), np.log1p(-s)])
    if curve.a and curve.b and (curve.a > 0) != (curve.b > 0):
        turn = -np.log1p([-curve.b / curve.a, -curve.a / curve.b])
        # a turn that is beyond an end by rounding counts too
        span = logs + np.array([[-1, 1], [1, -1]]) * formula_error(np.abs(logs))
        if span[0, 0] <= turn[0] <= span[0, 1] and span[1, 0] >= turn[1] >= span[1, 1]:
            logs = np.concatenate([logs, turn[:, None]], 1)
    terms = np.stack([curve.a * logs[0], -curve.b * logs[1], np.full(logs.shape[1], curve.c)])
    spare = step_error(64, 1 + np.abs(terms).sum(0))  # steep curves magnify what is rounded
    low, high = expit(terms.sum(0) - spare), expit(terms.sum(0) + spare)
    least, most = np.where(np.isnan(low), 0, low).min(), np.where(np.isnan(high), 1, high).max()
    return float(least) - ELEMENTARY, float(most) + ELEMENTARY


def _shares(box: ProbabilityBox) -> ProbabilityBox:
    """p_j / (p_j + the others): rises with p_j, falls with the others."""
    low, high = box.lower.clip(min=0), box.upper.clip(min=0)
    others_low, others_high = _others(low), _others(high)
    least = np.where(low + others_high > 0, low / (low + others_high), 0.0)
    most = np.where(high + others_low > 0, high / (high + others_low), 1.0)
    if low.sum() <= 0:  # all may be 0, and then parts are equal
        least, most = np.minimum(least, 1 / len(low)), np.maximum(most, 1 / len(low))
    return _out(least, most)


def _others(x: np.ndarray) -> np.ndarray:
    """Sum all but each: what precedes it and what follows. Their sum less each would lose what is small beside it."""
    before, after = np.cumsum(x)[:-1], np.cumsum(x[::-1])[::-1][1:]
    return np.r_[0.0, before] + np.r_[after, 0.0]


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
    lower, upper = np.full(k, 1 - high if k == 2 else 0.0), np.full(k, 1 - low)
    lower[top], upper[top] = low, high
    return _out(lower, upper)
