"""Curves: fitted calibrators of one score in [0, 1] to another. Values that a few lines of any language can apply.

A curve's `range` must lie in [0, 1] for a calibrator to take it (`checks.check_steps`).
"""

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from surefoot.core.types import Confidences

_LEAST = 2.0**-53  # scores nearer to 0 or 1 than float64 can tell from 1 count as this far away


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """Linear between the points (x, y), constant beyond the first and the last; x increases strictly.

    >>> PiecewiseLinear(np.array([0.2, 0.6]), np.array([0.0, 1.0]))(np.array([0.1, 0.5, 0.9])).round(3)
    array([0.  , 0.75, 1.  ])
    """

    x: Float[np.ndarray, " m"]
    y: Float[np.ndarray, " m"]

    def __post_init__(self) -> None:
        """Refuse what is no such line."""
        _numbers(self)
        if len(self.x) != len(self.y) or not len(self.x) or (self.x[1:] <= self.x[:-1]).any():
            raise ValueError("a line needs as many x as y, at least one, and x that increases strictly")
        with np.errstate(over="ignore"):
            if not np.isfinite(self.x[-1] - self.x[0]):
                raise ValueError(f"a line's x must be less than 1.8e308 apart, got {self.x[0]:g} to {self.x[-1]:g}")

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value."""
        return float(self.y.min()), float(self.y.max())

    def __call__(self, score: Confidences) -> Confidences:
        """Interpolate."""
        with np.errstate(over="ignore"):
            steep = not np.isfinite(np.diff(self.y) / np.diff(self.x)).all()
        values = self._by_shares(np.asarray(score)) if steep else np.asarray(np.interp(score, self.x, self.y))
        return np.clip(values, 0.0, 1.0, out=values)  # rounding may leave [0, 1]

    def _by_shares(self, score: np.ndarray) -> np.ndarray:
        """Interpolate where a slope is larger than a float64 can be: two x are both next to 0."""
        first = np.clip(np.searchsorted(self.x, score, side="right") - 1, 0, len(self.x) - 2)
        inside = np.clip(score, self.x[0], self.x[-1])
        share = (inside - self.x[first]) / (self.x[first + 1] - self.x[first])
        return self.y[first] + share * (self.y[first + 1] - self.y[first])


@dataclass(frozen=True, eq=False)
class StepFunction:
    """Constant between edges: values[i] for edges[i-1] < score <= edges[i]; one more value than edges.

    >>> StepFunction(np.array([0.5]), np.array([0.1, 0.8]))(np.array([0.5, 0.6]))
    array([0.1, 0.8])
    """

    edges: Float[np.ndarray, " m"]
    values: Float[np.ndarray, " m1"]

    def __post_init__(self) -> None:
        """Refuse what is no such staircase."""
        _numbers(self)
        if len(self.values) != len(self.edges) + 1 or (self.edges[1:] <= self.edges[:-1]).any():
            raise ValueError("stairs need one more value than edges, and edges that increase strictly")

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value."""
        return float(self.values.min()), float(self.values.max())

    def __call__(self, score: Confidences) -> Confidences:
        """Look up."""
        return self.values.clip(0.0, 1.0)[np.searchsorted(self.edges, score, side="left")]


@dataclass(frozen=True, eq=False)
class LogOddsCurve:
    """sigmoid(a log s - b log(1 - s) + c): Platt's curve where a = b, else the beta curve.

    Scores nearer to 0 or 1 than 2^-53 count as that.

    >>> LogOddsCurve(1.0, 1.0, 0.0)(np.array([0.25, 0.75]))
    array([0.25, 0.75])
    """

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        """Refuse what is no number."""
        _numbers(self)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value."""
        return 0.0, 1.0

    def __call__(self, score: Confidences) -> Confidences:
        """Compute it."""
        s = np.clip(score, _LEAST, 1 - _LEAST)
        return _sigmoid(self.a * np.log(s) - self.b * np.log1p(-s) + self.c)


CalibrationCurve: TypeAlias = PiecewiseLinear | StepFunction | LogOddsCurve
CURVES: dict[str, type[PiecewiseLinear] | type[StepFunction] | type[LogOddsCurve]] = {
    "line": PiecewiseLinear,
    "stairs": StepFunction,
    "log-odds": LogOddsCurve,
}


def identity() -> PiecewiseLinear:
    """Return the curve that changes nothing."""
    return PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.0, 1.0]))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)) to the last digits, also where it is below the least normal number, unlike SciPy's."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


def _numbers(curve: object) -> None:
    """Turn every field into finite float64 of its rank."""
    for field in fields(curve):  # type: ignore[arg-type]
        rank = 0 if field.type is float else 1
        value = np.asarray(getattr(curve, field.name), dtype=np.float64)
        if value.ndim != rank or not np.isfinite(value).all():
            raise ValueError(f"{type(curve).__name__}.{field.name} must be finite numbers of rank {rank}")
        object.__setattr__(curve, field.name, value if rank else float(value))
