"""Steps: what a fitted map does to a row of logits, one small operation after another.

Every recalibrator, whatever it learns, leaves a list of these. So there is one way to apply a map, one file format
(docs/guide/recalibrating.md has the schema), and one translation to ONNX, whatever the number of recalibrators.

A step takes rows (n, k) and gives rows (n, k), in float64. `Affine`, `LogSoftmax`, `FocalUndo` and `RowTemperature`
give logits; the others give probabilities, or scores that `Normalise` turns into them.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeAlias, Union, get_args

import numpy as np
from jaxtyping import Float

from surefoot.core.numerics import log_probs_and_complements, log_softmax, softmax
from surefoot.core.types import Logits, Probs
from surefoot.recalibrate.curves import CURVES, Curve

Rows: TypeAlias = Float[np.ndarray, "n k"]
TOP_SCORES = 10  # the largest logits that `RowTemperature` looks at
LEAST_TEMPERATURE = 1e-6
ABOVE = 1 + 1e-6  # by which the largest stays larger than the second


@dataclass(frozen=True, eq=False)
class Affine:
    """weight z + bias. The weight is one number, one number a class, or a matrix (k, k); the bias a number or (k,)."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        if self.weight.ndim == 2:
            return rows @ self.weight.T + self.bias
        moved = np.multiply(rows, self.weight, dtype=np.float64)
        moved += self.bias
        return moved


@dataclass(frozen=True)
class Softmax:
    """exp z_j / sum_i exp z_i."""

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        return softmax(rows)


@dataclass(frozen=True)
class LogSoftmax:
    """z_j - log sum_i exp z_i."""

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        return log_softmax(rows)


@dataclass(frozen=True, eq=False)
class FocalUndo:
    """log v - log g(v), v = softmax(z), g(v) = (1 - v)^gamma (1 - gamma v log v / (1 - v)).

    gamma is gammas[i] for thresholds[i-1] <= v < thresholds[i].
    """

    gammas: np.ndarray
    thresholds: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        log_p, log_u = log_probs_and_complements(rows)
        exponent = self.gammas[np.searchsorted(np.log(self.thresholds), log_p, side="right")]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(log_u > -600, np.exp(np.minimum(log_p - log_u, 700)) * -log_p, 1.0)
        return log_p - exponent * log_u - np.log1p(exponent * ratio)


@dataclass(frozen=True, eq=False)
class RowTemperature:
    """z / T(z): T = softplus(w3 relu(w2 relu(w1 x + b1) + b2) + b3), x the largest 10 of z - max z, in falling order.

    Where there are fewer classes than 10, x is as short. T is at least 1e-6.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    b3: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        first = np.maximum(self.top(rows) @ self.w1.T + self.b1, 0.0)
        second = np.maximum(first @ self.w2.T + self.b2, 0.0)
        return rows / np.maximum(np.logaddexp(0.0, second @ self.w3 + self.b3), LEAST_TEMPERATURE)[:, None]

    @staticmethod
    def top(rows: Rows) -> Float[np.ndarray, "n t"]:
        """Return what the temperature looks at."""
        x = -np.sort(-np.asarray(rows, dtype=np.float64), 1)[:, :TOP_SCORES]
        return x - x[:, :1]


@dataclass(frozen=True, eq=False)
class Curves:
    """curves[j](p_j); one curve alone serves all classes."""

    curves: tuple[Curve, ...]

    def __call__(self, rows: Rows) -> Rows:
        """Apply each curve to its column."""
        if len(self.curves) == 1:
            return self.curves[0](rows)
        columns = np.ascontiguousarray(rows.T)  # a column at a time, each in one piece
        for curve, column in zip(self.curves, columns, strict=True):
            order = np.argsort(column)  # breakpoints are found twice as fast for scores in order
            column[order] = curve(column[order])
        return columns.T


@dataclass(frozen=True, eq=False)
class TopCurve:
    """Replace the largest p by curves[its class](p), but keep it the largest; the others share the rest as p^power.

    One curve alone serves all classes. With c the new value and r the largest of the others over their sum, times
    1 + 1e-6: c is at least r / (1 + r), so that the largest stays above the others also in float32.
    """

    curves: tuple[Curve, ...]
    power: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Apply the curves to the largest values."""
        n, k = rows.shape
        at, top = np.arange(n), rows.argmax(1)
        others = np.array(rows, dtype=np.float64)
        others[at, top] = 0.0
        if self.power != 1:
            peak = others.max(1, keepdims=True)
            others = (others / np.where(peak > 0, peak, 1.0)) ** self.power
        rest = others.sum(1)
        score = rows[at, top]
        if len(self.curves) == 1:
            wanted = self.curves[0](score)
        else:
            wanted = np.empty(n)
            for j in np.unique(top):
                wanted[top == j] = self.curves[j](score[top == j])
        empty = rest <= 0  # nothing to share out: in equal parts
        others[empty] = 1.0
        others[at, top] = 0.0
        rest = np.where(empty, k - 1.0, rest)
        others /= rest[:, None]
        runner_up = others.max(1) * ABOVE
        kept = np.clip(wanted, runner_up / (1 + runner_up), 1.0)
        others *= (1 - kept)[:, None]
        others[at, top] = kept
        return others


@dataclass(frozen=True)
class Normalise:
    """p_j / sum_i p_i; equal parts where all are 0."""

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        total = rows.sum(1, keepdims=True)
        empty = total[:, 0] <= 0
        shares = np.ascontiguousarray(rows / np.where(empty[:, None], 1.0, total))
        shares[empty] = 1.0 / rows.shape[1]
        return shares


@dataclass(frozen=True, eq=False)
class Reweigh:
    """p_j factors_j / sum_i p_i factors_i: other priors. Equal parts where all are 0."""

    factors: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        return Normalise()(rows * self.factors)


@dataclass(frozen=True, eq=False)
class Mix:
    """sum_i weights[i] parts[i](z) + the weight that is left / k."""

    weights: np.ndarray
    parts: "tuple[tuple[Step, ...], ...]"

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        total = np.full(rows.shape, max(1.0 - self.weights.sum(), 0.0) / rows.shape[1])
        for weight, part in zip(self.weights, self.parts, strict=True):
            total += weight * apply(part, rows)
        return total


Step: TypeAlias = Union[  # noqa: UP007  (a forward reference inside)
    Affine, Softmax, LogSoftmax, FocalUndo, RowTemperature, Curves, TopCurve, Normalise, Reweigh, Mix
]
STEPS: dict[str, type] = {
    "affine": Affine,
    "softmax": Softmax,
    "log-softmax": LogSoftmax,
    "focal-undo": FocalUndo,
    "row-temperature": RowTemperature,
    "curves": Curves,
    "top-curve": TopCurve,
    "normalise": Normalise,
    "reweigh": Reweigh,
    "mix": Mix,
}
_NAMES = {cls: name for name, cls in (STEPS | CURVES).items()}
assert set(STEPS.values()) == set(get_args(Step))


def apply(steps: tuple[Step, ...], logits: Logits) -> Probs:
    """Take rows through steps.

    >>> apply((Affine(np.array(2.0), np.array(0.0)), Softmax()), np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    for step in steps:
        logits = step(logits)
    return logits


def scaling(temperature: float) -> tuple[Affine, Softmax]:
    """Return the steps of softmax(z / T)."""
    return affine(1 / temperature)


def affine(weight: np.ndarray | float, bias: np.ndarray | float = 0.0) -> tuple[Affine, Softmax]:
    """Return the steps of softmax(weight z + bias)."""
    return Affine(np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)), Softmax()


def to_plain(value: Any) -> Any:
    """Turn steps, curves and arrays into what JSON holds: `{"step": name, field: ...}`, `{"curve": name, ...}`."""
    if type(value) in _NAMES:
        word = "step" if type(value) in STEPS.values() else "curve"
        return {word: _NAMES[type(value)]} | {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def from_plain(value: Any) -> Any:
    """Read what `to_plain` wrote; lists of numbers become arrays, other lists tuples.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    if isinstance(value, dict):
        made: Any
        word = "step" if "step" in value else "curve"
        made = (STEPS if word == "step" else CURVES)[value[word]]
        content = {name: from_plain(v) for name, v in value.items() if name != word}
        if word == "step":
            content = {name: np.asarray(v, float) if isinstance(v, float) else v for name, v in content.items()}
        step: Any = made(**content)
        if word == "step" and not all(_is_finite(getattr(step, f.name)) for f in fields(step)):
            raise ValueError(f"the step {value[word]!r} holds what is no finite number")
        return step
    if isinstance(value, list):
        if any(isinstance(v, dict) or (isinstance(v, list) and v and isinstance(v[0], dict)) for v in value):
            return tuple(from_plain(v) for v in value)
        return np.array(value, dtype=np.float64)
    return float(value)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, np.ndarray) or bool(np.isfinite(value).all())
