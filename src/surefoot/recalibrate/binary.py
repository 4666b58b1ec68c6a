"""Binary calibrators: from scores in [0, 1] and correctness to a curve. Each becomes multiclass by a reduction.

`reductions.OneVsRest` and `reductions.TopLabel` take any of them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import isotonic_regression
from scipy.special import betaln, expit, logit

from surefoot.core.errors import InputError
from surefoot.core.types import Confidences
from surefoot.recalibrate.curves import CalibrationCurve, LogOddsCurve, PiecewiseLinear, StepFunction

Correct = Bool[np.ndarray, " n"]
_LEAST = 2.0**-53
_ROUNDING = 1e-12
_WEAK = 1e-3  # rows


@dataclass(frozen=True)
class Blocks:
    """Rows of equal score as one: distinct scores in increasing order, their numbers of rows and of correct ones."""

    score: Float[np.ndarray, " m"]
    count: Float[np.ndarray, " m"]
    correct: Float[np.ndarray, " m"]


def blocks_of(score: Confidences, correct: Correct) -> Blocks:
    """Group rows by score, so that nothing depends on the order of rows that tie.

    Scores that differ by rounding alone tie, too: the same logits in another order of classes, or in another runtime,
    give another last digit, and an edge between the two would be drawn by chance.

    >>> blocks_of(np.array([0.9, 0.2, 0.9]), np.array([True, False, False])).correct
    array([0., 1.])
    """
    order = np.argsort(score)  # not stable, but faster: rows that tie become one
    ordered = score[order].astype(np.float64)
    first = np.flatnonzero(np.r_[True, ordered[1:] > ordered[:-1] * (1 + _ROUNDING)])
    right = np.add.reduceat(correct[order].astype(np.float64), first)
    return Blocks(ordered[first], np.diff(np.r_[first, len(score)]).astype(np.float64), right)


def between(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return an edge e with lower <= e < upper: the middle, where that can be told from the upper."""
    return np.maximum(lower, np.minimum((lower + upper) / 2, np.nextafter(upper, -1)))


class BinaryCalibrator(ABC):
    """Learns a curve from scores and correctness. Settings only: what is learnt is the curve."""

    @abstractmethod
    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn from scores (n,) in [0, 1] and correctness (n,), n >= 1."""

    @property
    def rises(self) -> bool:
        """Whether a higher score never becomes a lower one."""
        return True


def _logistic(
    design: Float[np.ndarray, "m d"], target: np.ndarray, weight: np.ndarray, ridge: float,
    centre: Float[np.ndarray, " d"] | None = None,
) -> np.ndarray:  # fmt: skip
    """Fit sigmoid(design theta) to targets in [0, 1] by Newton's method, steps halved as needed.

    The ridge is in rows, around the centre, or else around 0.
    """
    origin = np.zeros(design.shape[1]) if centre is None else centre
    theta = origin.copy()

    def loss(at: np.ndarray) -> float:
        z, away = design @ at, at - origin
        return float(weight @ (np.logaddexp(0, z) - target * z)) + ridge * float(away @ away) / 2

    value = loss(theta)
    for _ in range(100):
        p = expit(design @ theta)
        slope = design.T @ (weight * (p - target)) + ridge * (theta - origin)
        curved = (design * (weight * p * (1 - p))[:, None]).T @ design + ridge * np.eye(len(theta))
        step, size = np.linalg.solve(curved, slope), 1.0
        while loss(theta - size * step) > value and size > 1e-9:
            size /= 2
        theta = theta - size * step
        before, value = value, loss(theta)
        if before - value <= 1e-12 * abs(before):
            break
    return theta


def _least_errors(blocks: Blocks) -> float:
    """Count the rows that the best threshold has on the wrong side: positives up to it, negatives above."""
    misses = blocks.count - blocks.correct
    return float((np.r_[0.0, np.cumsum(blocks.correct)] + misses.sum() - np.r_[0.0, np.cumsum(misses)]).min())


def _clipped(score: np.ndarray) -> np.ndarray:
    return np.clip(score, _LEAST, 1 - _LEAST)


@dataclass(frozen=True)
class Platt(BinaryCalibrator):
    """Fit sigmoid(a logit(s) + b) to smoothed targets, (positives + 1) / (positives + 2) and 1 / (negatives + 2).

    Reference: Platt 1999, section 2.2.

    >>> curve = Platt().fit(np.array([0.9] * 10 + [0.1] * 10), np.arange(20) % 10 < np.repeat([7, 3], 10))
    >>> bool(0.6 < curve(np.array([0.9]))[0] < 0.7)
    True
    """

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve; a is at least 0."""
        blocks = blocks_of(score, correct)
        right, wrong = correct.sum(), len(correct) - correct.sum()
        high, low = (right + 1) / (right + 2), 1 / (wrong + 2)
        target = (blocks.correct * high + (blocks.count - blocks.correct) * low) / blocks.count
        z = logit(_clipped(blocks.score))
        a, b = _logistic(np.stack([z, np.ones_like(z)], 1), target, blocks.count, 1e-6)
        if a < 0:
            a, b = 0.0, float(logit(target @ blocks.count / blocks.count.sum()))
        return LogOddsCurve(float(a), float(a), float(b))


@dataclass(frozen=True)
class Beta(BinaryCalibrator):
    """Fit sigmoid(a log s - b log(1 - s) + c), a and b at least 0: right if scores are Beta distributed in each class.

    Where scores separate correct rows from wrong ones without an error, the likelihood alone would make every score
    certain: a ridge of as many rows as there are around the curve that changes nothing, a = b = 1, c = 0, holds it, and
    fades with every error.

    Reference: Kull, Silva Filho, Flach 2017, section 4.

    >>> s = np.linspace(0.01, 0.99, 99)
    >>> curve = Beta().fit(np.repeat(s, 100), np.tile(np.arange(100), 99) < np.repeat(100 * s**2, 100))
    >>> bool(abs(curve(np.array([0.5]))[0] - 0.25) < 0.02)
    True
    """

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        blocks = blocks_of(score, correct)
        s = _clipped(blocks.score)
        columns = [np.log(s), -np.log1p(-s)]
        target = blocks.correct / blocks.count
        ridge = max(_WEAK, len(score) * float(np.exp(-_least_errors(blocks))))
        best, least = LogOddsCurve(0.0, 0.0, 0.0), np.inf
        for used in ([0, 1], [0], [1], []):  # a slope that would be negative is left out
            design = np.stack([*(columns[i] for i in used), np.ones_like(s)], 1)
            identity = np.r_[np.ones(len(used)), 0.0]
            *coefficients, shift = _logistic(design, target, blocks.count, ridge, identity)
            if any(a < 0 for a in coefficients):
                continue
            slopes = [0.0, 0.0]
            for i, a in zip(used, coefficients, strict=True):
                slopes[i] = float(a)
            z = design @ [*coefficients, shift]
            value = float(blocks.count @ (np.logaddexp(0, z) - target * z))
            if value < least:
                best, least = LogOddsCurve(slopes[0], slopes[1], float(shift)), value
            if len(used) == 2:
                break
        return best


def _shares(count: np.ndarray, correct: np.ndarray, pseudo_rows: float) -> np.ndarray:
    """Compute shares of correct rows, each bin with so many rows more, correct as often as all rows together."""
    if not (isinstance(pseudo_rows, int | float) and pseudo_rows >= 0):
        raise InputError(f"pseudo_rows must be a number of at least 0, got {pseudo_rows!r}")
    base = (correct.sum() + 0.5) / (count.sum() + 1)
    return (correct + pseudo_rows * base) / np.maximum(count + pseudo_rows, 1e-300)


@dataclass(frozen=True)
class Isotonic(BinaryCalibrator):
    """Fit the non-decreasing curve of least squares; linear between the scores it was learnt on.

    Every level then gets `pseudo_rows` rows more that hit as often as all rows do together: without them whole ranges
    of scores become impossible (0) or certain (1), and one such row that turns out otherwise makes the NLL infinite.

    Reference: Zadrozny and Elkan 2002; the regression itself is SciPy's.

    >>> Isotonic(0).fit(np.array([0.2, 0.4, 0.6]), np.array([True, False, True]))(np.array([0.3, 0.5]))
    array([0.5 , 0.75])
    """

    pseudo_rows: float = 1.0

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        blocks = blocks_of(score, correct)
        isotonic = isotonic_regression(blocks.correct / blocks.count, weights=blocks.count)
        first, sizes = isotonic.blocks[:-1], np.diff(isotonic.blocks)
        count, right = np.add.reduceat(blocks.count, first), np.add.reduceat(blocks.correct, first)
        y = np.repeat(isotonic_regression(_shares(count, right, self.pseudo_rows), weights=count).x, sizes)
        corner = np.r_[True, (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:]), True][: len(y)]
        return PiecewiseLinear(blocks.score[corner], y[corner])


@dataclass(frozen=True)
class Histogram(BinaryCalibrator):
    """Give every score the share of correct rows of its bin; bins of equal mass, or of equal width.

    Rows of equal score stay together. An empty bin of equal width keeps its middle. `pseudo_rows` as in `Isotonic`.

    Property: within every bin calibrated up to sqrt(log(2 / a) / (2 n_b)) with confidence 1 - a. Can tie scores.
    Reference: Zadrozny and Elkan 2001; Gupta and Ramdas 2021 (distribution-free, uniform mass).

    >>> score, correct = np.array([0.1, 0.2, 0.7, 0.8]), np.array([False, True, True, True])
    >>> Histogram(2, pseudo_rows=0).fit(score, correct)(np.array([0.0, 0.9]))
    array([0.5, 1. ])
    """

    bins: int = 15
    equal_mass: bool = True
    pseudo_rows: float = 1.0

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        _check_bins(self.bins)
        blocks = blocks_of(score, correct)
        if not self.equal_mass:
            edges = np.arange(1, self.bins) / self.bins
            at = np.searchsorted(edges, blocks.score, side="left")
            count, right = (np.bincount(at, weights=w, minlength=self.bins) for w in (blocks.count, blocks.correct))
            middle = (np.arange(self.bins) + 0.5) / self.bins
            return StepFunction(edges, np.where(count > 0, _shares(count, right, self.pseudo_rows), middle))
        edges, count, right = mass_bins(blocks, self.bins)
        return StepFunction(edges, _shares(count, right, self.pseudo_rows))

    @property
    def rises(self) -> bool:
        """False: bins are counted one by one."""
        return False


def mass_bins(blocks: Blocks, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide blocks into at most `bins` bins of about equal rows: inner edges, rows, positives. None is empty."""
    middle = np.cumsum(blocks.count) - blocks.count / 2
    at = np.minimum((middle * bins / blocks.count.sum()).astype(np.intp), bins - 1)
    first = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
    edges = between(blocks.score[first[1:] - 1], blocks.score[first[1:]])
    return edges, np.add.reduceat(blocks.count, first), np.add.reduceat(blocks.correct, first)


def _check_bins(bins: int) -> None:
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise InputError(f"the number of bins must be a whole number of at least 1, got {bins!r}")


@dataclass(frozen=True)
class BBQ(BinaryCalibrator):
    """Average histograms of many sizes, each weighed by its marginal likelihood (Bayesian binning into quantiles).

    Sizes from n^(1/3) / 10 to 10 n^(1/3). In a bin of middle m of B bins the prior is Beta(2 m / B, 2 (1 - m) / B).

    Reference: Naeini, Cooper, Hauskrecht 2015, section 3.

    >>> s = np.linspace(0.0, 1.0, 200)
    >>> bool(BBQ().fit(s, s > 0.5)(np.array([0.9]))[0] > 0.95)
    True
    """

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        blocks = blocks_of(score, correct)
        root = len(score) ** (1 / 3)
        sizes = range(max(1, int(root / 10)), max(2, int(np.ceil(10 * root)) + 1))
        models, evidence = [], []
        seen = 0
        for size in sizes:
            edges, count, right = mass_bins(blocks, size)
            if len(count) == seen and len(count) < size:  # ties: more bins than this there are not
                continue
            seen, b = len(count), len(count)
            m = np.clip((np.r_[0.0, edges] + np.r_[edges, 1.0]) / 2, 1e-3, 1 - 1e-3)
            alpha, beta = 2 * m / b, 2 * (1 - m) / b
            evidence.append(float((betaln(alpha + right, beta + count - right) - betaln(alpha, beta)).sum()))
            models.append(StepFunction(edges, (alpha + right) / (alpha + beta + count)))
        share = np.exp(np.array(evidence) - max(evidence))
        kept = [(model, w) for model, w in zip(models, share, strict=True) if w > 1e-3]
        edges = np.unique(np.concatenate([model.edges for model, _ in kept]))
        probes = np.r_[edges, 1.0] if not len(edges) or edges[-1] < 1 else np.r_[edges, 2.0]
        values = sum(w * model(probes) for model, w in kept) / sum(w for _, w in kept)
        return StepFunction(edges, np.asarray(values))

    @property
    def rises(self) -> bool:
        """False: bins are counted one by one."""
        return False


@dataclass(frozen=True)
class ScalingBinning(BinaryCalibrator):
    """Fit Platt's curve, then give each bin of equal mass the mean of the curve in it.

    Property: its calibration error can be measured, as a histogram's can, with fewer rows than a histogram needs.
    Reference: Kumar, Liang, Ma 2019, section 4 (all rows serve all three steps, as in the authors' code).

    >>> s = np.linspace(0.01, 0.99, 99)
    >>> curve = ScalingBinning(3).fit(np.repeat(s, 10), np.tile(np.arange(10), 99) < np.repeat(10 * s, 10))
    >>> len(np.unique(curve(s)))
    3
    """

    bins: int = 15

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        _check_bins(self.bins)
        blocks = blocks_of(score, correct)
        scaled = Blocks(blocks.score, blocks.count, blocks.count * Platt().fit(score, correct)(blocks.score))
        edges, count, mass = mass_bins(scaled, self.bins)
        return StepFunction(edges, mass / count)


@dataclass(frozen=True)
class VennAbers(BinaryCalibrator):
    """Isotonic regression with the score itself added once as a negative, once as a positive: p = p1 / (1 - p0 + p1).

    Property: one of p0 and p1 is perfectly calibrated, whatever the distribution; p lies between them. Exact, in
    n log n.
    Reference: Vovk, Petej, Fedorova 2015, section 4 and eq. 4.

    >>> curve = VennAbers().fit(np.array([0.2, 0.8]), np.array([False, True]))
    >>> curve(np.array([0.1, 0.5, 0.9])).round(3)
    array([0.333, 0.5  , 0.667])
    """

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        lower, upper, blocks = self.interval(score, correct)
        # p0 holds from a score up to the next, p1 from the one before up to the score: at a score both are its own,
        # between two they are of the two. "At" has the width of rounding: softmax is not the same to the last digit
        # everywhere.
        x = blocks.score
        edges = np.stack([x * (1 - _ROUNDING), x * (1 + _ROUNDING)], 1).ravel()
        p0 = np.r_[np.stack([lower[:-1], lower[1:]], 1).ravel(), lower[-1]]
        p1 = np.r_[np.stack([upper[:-1], upper[:-1]], 1).ravel(), upper[-1]]
        values = p1 / (1 - p0 + p1)
        kept = edges > np.maximum.accumulate(np.r_[-1.0, edges[:-1]])
        return StepFunction(edges[kept], np.r_[values[:-1][kept], values[-1]])

    @staticmethod
    def interval(score: Confidences, correct: Correct) -> tuple[np.ndarray, np.ndarray, Blocks]:
        """Compute p0 for scores in [x_i, x_{i+1}) and p1 for (x_i, x_{i+1}], i = 0..m, over the distinct scores x."""
        blocks = blocks_of(score, correct)
        p1 = np.r_[_with_a_hit(blocks.count, blocks.correct), 1.0]
        mirrored = _with_a_hit(blocks.count[::-1], (blocks.count - blocks.correct)[::-1])
        return np.r_[0.0, 1 - mirrored[::-1]], p1, blocks


def _with_a_hit(count: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Compute, for every block, its isotonic value when one more hit is put in front of it.

    On the diagram of cumulated counts and positives the added one is the first step of what is left; its value is the
    slope of the greatest convex minorant there. The corners are kept on a stack while the step moves to the right.
    """
    m, x, y = len(count), [-1.0, 0.0, *np.cumsum(count).tolist()], [-1.0, 0.0, *np.cumsum(correct).tolist()]
    wide, high = count.tolist(), correct.tolist()

    def above(px: float, py: float, i: tuple[float, float], j: tuple[float, float]) -> bool:
        """Whether the point p lies on or above the line through i and j."""
        return (py - i[1]) * (j[0] - i[0]) >= (j[1] - i[1]) * (px - i[0])

    stack: list[tuple[float, float]] = []  # corners from right to left: the last is the leftmost
    for i in range(m + 1, -1, -1):
        point = (x[i], y[i])
        while len(stack) > 1 and above(*stack[-1], point, stack[-2]):
            stack.pop()
        stack.append(point)
    slopes = []
    px, py = x[0], y[0]
    for i in range(m):
        (ax, ay), (bx, by) = stack[-1], stack[-2]
        slopes.append((by - ay) / (bx - ax))
        # the added step moves behind block i: the point before it becomes the one after block i
        px, py = px + wide[i], py + high[i]
        if above(px, py, stack[-1], stack[-2]):
            continue
        stack.pop()
        while len(stack) > 1 and above(*stack[-1], (px, py), stack[-2]):
            stack.pop()
        stack.append((px, py))
    return np.array(slopes)
