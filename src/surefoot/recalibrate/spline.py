"""Spline recalibration: a natural cubic spline on the cumulated difference between correctness and scores."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression
from sklearn.model_selection import KFold

from surefoot.core.errors import InputError
from surefoot.core.types import Confidences
from surefoot.recalibrate.binary import BinaryCalibrator, Blocks, Correct, blocks_of
from surefoot.recalibrate.curves import CalibrationCurve, PiecewiseLinear

_GROUPS = 2048  # points of the cumulated difference that the spline is fitted to
_BREAKPOINTS = 256
_CANDIDATES = (4, 5, 6, 8, 10, 14)


def natural_basis(t: Float[np.ndarray, " m"], knots: int) -> Float[np.ndarray, "m K"]:
    """Compute the matrix that takes values at equally spaced knots on [0, 1] to the natural cubic spline at t.

    For spacing D, values y_j and second derivatives M_j:
    M_{j-1} + 4 M_j + M_{j+1} = 6 (y_{j-1} - 2 y_j + y_{j+1}) / D^2, M = 0 at both ends.

    >>> bool(np.allclose(natural_basis(np.array([0.0, 0.5, 1.0]), 3), np.eye(3)))
    True
    """
    spacing = 1.0 / (knots - 1)
    inner = np.arange(1, knots - 1)
    system, right = np.eye(knots), np.zeros((knots, knots))
    system[inner, inner] = 4.0
    system[inner, inner - 1] = system[inner, inner + 1] = 1.0
    right[inner, inner - 1] = right[inner, inner + 1] = 6 / spacing**2
    right[inner, inner] = -12 / spacing**2
    bend = np.linalg.solve(system, right)
    j = np.clip((t / spacing).astype(np.intp), 0, knots - 2)
    x = t - j * spacing
    u = x / spacing
    left = -(x**3) / (6 * spacing) + x**2 / 2 - spacing * x / 3
    upper = x**3 / (6 * spacing) - spacing * x / 6
    basis = left[:, None] * bend[j] + upper[:, None] * bend[j + 1]
    at = np.arange(len(t))
    basis[at, j] += 1 - u
    basis[at, j + 1] += u
    return basis


@dataclass(frozen=True)
class Spline(BinaryCalibrator):
    """Map s to s + h'(t): h the natural spline through the sums of (correct - score), t the share of rows below s.

    h is fitted by least squares with equally spaced knots on [0, 1] and h(0) = 0. Rows of equal score are one step, and
    get its average slope. A score that holds 2% of the rows (and 50) or more is an atom: it gets its own share of
    correct rows, and the spline the other rows. The curve is then made non-decreasing by projection, and cut so that
    neither s nor 1 - s shrinks below a hundredth of itself.

    Attributes:
        knots: their number, at least 3; or "cv", chosen from 4 to 14 by the held-out Brier score of five folds.
        clock: what t counts: `rows`, as published; or `deviation`, rows weighted by sqrt(s (1 - s)). The latter keeps
            knots where there is something to learn when nearly all scores are near 0, as those of one class among
            many are.
        least_rows: fewer are refused.

    Raises:
        InputError: fewer rows than `least_rows`, or settings that make no sense.

    Reference: Gupta et al. 2021, section 4; the interpolation, the pinned origin, ties and monotony as above are ours.

    >>> s = np.linspace(0.001, 0.999, 1000)
    >>> correct = np.random.default_rng(0).random(1000) < s**2
    >>> bool(abs(Spline().fit(s, correct)(np.array([0.5]))[0] - 0.25) < 0.05)
    True
    """

    knots: int | Literal["cv"] = 6
    clock: Literal["rows", "deviation"] = "rows"
    least_rows: int = 200

    def fit(self, score: Confidences, correct: Correct) -> CalibrationCurve:
        """Learn the curve."""
        if self.clock not in ("rows", "deviation"):
            raise InputError(f"clock must be 'rows' or 'deviation', got {self.clock!r}")
        whole = isinstance(self.knots, int) and not isinstance(self.knots, bool) and self.knots >= 3
        if not whole and self.knots != "cv":
            raise InputError(f"knots must be a whole number of at least 3, or 'cv', got {self.knots!r}")
        if len(score) < self.least_rows:
            raise InputError(
                f"a spline needs at least {self.least_rows} rows to learn from, got {len(score)}: with fewer its slope "
                f"is mostly noise; use a temperature, or gather more held-out rows"
            )
        knots = _choose(score, correct, self.clock) if self.knots == "cv" else int(self.knots)
        return _fit(blocks_of(score, correct), knots, self.clock)


def _choose(score: Confidences, correct: Correct, clock: str) -> int:
    """Choose the number of knots by the Brier score of held-out fifths."""
    folds = list(KFold(5, shuffle=True, random_state=0).split(score))

    def held_out(knots: int) -> float:
        total = 0.0
        for train, rest in folds:
            curve = _fit(blocks_of(score[train], correct[train]), knots, clock)
            total += float(((curve(score[rest]) - correct[rest]) ** 2).sum())
        return total

    return min(_CANDIDATES, key=held_out)


def _fit(blocks: Blocks, knots: int, clock: str) -> PiecewiseLinear:
    n = blocks.count.sum()
    atom = blocks.count >= max(50.0, n / 50)
    rest = Blocks(blocks.score[~atom], blocks.count[~atom], blocks.correct[~atom])
    parts = [_smooth(rest, knots, clock)] if len(rest.score) else []
    if atom.any():
        at = blocks.score[atom]
        share = blocks.correct[atom] / blocks.count[atom]
        if parts:  # the smooth part jumps to the atom and back
            sides = np.concatenate([np.nextafter(at, -1), np.nextafter(at, 2)])
            parts.append((sides, np.interp(sides, *parts[0][:2]), np.full(len(sides), 1e-9)))
        parts.append((at, share, blocks.count[atom]))
    x, y, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    x, first = np.unique(x, return_index=True)
    monotone = isotonic_regression(y[first], weights=weight[first]).x
    # nothing becomes impossible or certain: neither the score nor its complement shrinks below a hundredth
    return PiecewiseLinear(x, np.clip(monotone, 0.01 * x, 1 - 0.01 * (1 - x)))


def _smooth(blocks: Blocks, knots: int, clock: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit the spline; return scores, their recalibrated values and their rows, a few hundred of each."""
    gap = blocks.correct - blocks.count * blocks.score
    pace = blocks.count * _pace(blocks.score, clock)
    first = _grouped(blocks.count, _GROUPS)
    end, total = np.cumsum(np.add.reduceat(pace, first)), np.cumsum(np.add.reduceat(gap, first))
    scale = end[-1]
    weight = np.sqrt(np.add.reduceat(blocks.count, first))
    basis = natural_basis(end / scale, knots)[:, 1:]  # h(0) = 0: no column for the first knot
    if blocks.count.sum() < 4 * knots:  # beside atoms: too few for more than a straight line
        values = total[-1] / scale * np.arange(1, knots) / (knots - 1)
    else:
        values = np.linalg.lstsq(basis * weight[:, None], total / scale * weight, rcond=None)[0]

    kept = np.unique(np.r_[0, _grouped(blocks.count, _BREAKPOINTS), len(gap) - 1])
    rows, passed = np.add.reduceat(blocks.count, kept), np.add.reduceat(pace, kept)
    score = np.add.reduceat(blocks.count * blocks.score, kept) / rows
    edges = np.r_[0.0, np.cumsum(passed)] / scale
    height = natural_basis(edges, knots)[:, 1:] @ values
    slope = np.diff(height) / np.diff(edges)
    score[0], score[-1] = blocks.score[0], blocks.score[-1]
    x, unique = np.unique(score, return_index=True)
    return x, score[unique] + slope[unique] * _pace(score[unique], clock), rows[unique]


def _pace(score: np.ndarray, clock: str) -> np.ndarray:
    return np.ones_like(score) if clock == "rows" else np.sqrt(np.maximum(score * (1 - score), 1e-12))


def _grouped(count: np.ndarray, groups: int) -> np.ndarray:
    """Return where groups of about equal rows begin."""
    if len(count) <= groups:
        return np.arange(len(count))
    at = ((np.cumsum(count) - count / 2) * groups / count.sum()).astype(np.intp)
    return np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
