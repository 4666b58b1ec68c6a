"""Replay a candidate in the arithmetic of deployment: nothing is called violated before."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from torch import Tensor

from surefoot.spec.query import Query
from surefoot.spec.runtime import Runner


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A counterexample that was seen: input and output, and how far the input lies outside of the region."""

    input: np.ndarray
    output: np.ndarray
    distance: float = 0.0


@dataclass(frozen=True, eq=False)
class Replay:
    """Move candidates to float32 numbers of the region, run them, keep one that is a counterexample.

    Where the region holds no float32 number along some input, the nearest one is taken, at most a unit in the last
    place away. `off` says how far what `run` ran was from what it was asked to run; default: nothing.
    """

    query: Query
    run: Runner
    off: Callable[[np.ndarray], float] | None = None

    @cached_property
    def lower(self) -> np.ndarray:
        """The least float32 numbers that are not below the region."""
        with np.errstate(over="ignore"):
            low = self.query.inputs.lower.astype(np.float32)
        outside = low < self.query.inputs.lower
        for at, (least, _) in self.query.inputs.exact.items():
            outside[at] |= bool(np.isfinite(low[at])) and Fraction(float(low[at])) < least
        return np.where(outside, np.nextafter(low, np.float32(np.inf)), low)

    @cached_property
    def upper(self) -> np.ndarray:
        """The greatest float32 numbers that are not above the region."""
        with np.errstate(over="ignore"):
            high = self.query.inputs.upper.astype(np.float32)
        outside = high > self.query.inputs.upper
        for at, (_, most) in self.query.inputs.exact.items():
            outside[at] |= bool(np.isfinite(high[at])) and Fraction(float(high[at])) > most
        return np.where(outside, np.nextafter(high, np.float32(-np.inf)), high)

    @cached_property
    def nearest(self) -> np.ndarray:
        """The float32 numbers nearest to the region, for inputs along which none lies in it; else not a number."""
        down, up = self.query.inputs.lower - self.upper, self.lower - self.query.inputs.upper
        return np.where(self.lower > self.upper, np.where(down < up, self.upper, self.lower), np.float32(np.nan))

    @property
    def impossible(self) -> bool:
        """Whether the region reaches beyond the largest float32 numbers: nothing near can be replayed."""
        return not bool(np.isfinite(self.lower).all() and np.isfinite(self.upper).all())

    def __call__(self, candidates: Tensor) -> Counterexample | None:
        """Return a counterexample among candidates (n, d), or None: in the region, else as near to it as any can be."""
        if self.impossible:
            return None
        given = self._in_ball(candidates.detach().flatten(1).numpy().astype(np.float32))
        x = np.where(
            np.isnan(self.nearest), np.clip(given, self.lower, np.maximum(self.lower, self.upper)), self.nearest
        )
        y = self.run(x)
        finite = np.asarray(np.isfinite(y).all(1))
        slack = np.where(finite, self.query.slack(np.where(finite[:, None], y, 0.0)), np.inf)
        met = [
            self._counterexample(x[i], y[i])
            for i in slack.argsort()
            if slack[i] < np.inf and self.query.broken_by(y[i])
        ]
        return min((one for one in met if one is not None), key=lambda one: one.distance, default=None)

    def _in_ball(self, x: np.ndarray) -> np.ndarray:
        """Move what rounding took out of a ball towards its centre: by more than all values that are rounded again."""
        ball = self.query.inputs.ball
        if ball is None:
            return x
        step = x.astype(np.float64) - ball.centre
        length = np.linalg.norm(step, ball.norm, axis=1, keepdims=True)
        radius = ball.radius * (1 - 1e-12)  # for the length is rounded, too
        again = np.where(step != 0, np.spacing(np.abs(x)).astype(np.float64), 0.0)
        most = radius - np.linalg.norm(again, ball.norm, axis=1, keepdims=True)
        moved = ball.centre + step * (np.clip(most, 0.0, length) / np.maximum(length, 1e-300))
        return np.where(length > radius, moved, x).astype(np.float32)

    def _counterexample(self, x: np.ndarray, y: np.ndarray) -> Counterexample | None:
        """Measure how far an input lies outside: more than a unit in the last place is no counterexample."""
        distance = self.query.inputs.distance(x.astype(np.float64))
        if distance > float(np.spacing(np.abs(x).max())):
            return None
        return Counterexample(x, y, distance + (0.0 if self.off is None else self.off(x)))
