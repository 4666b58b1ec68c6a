"""Steps: what a fitted calibrator does to a row of logits, one small operation after another.

Every calibrator, whatever it learns, leaves a list of these. So there is one way to apply a calibrator, one file format
(docs/guide/recalibrating.md has the schema), and one translation to ONNX, whatever the number of calibrators.

A step takes rows (n, k) and gives rows (n, k), in float64, and says of which `Domain` they are. `checks.check_steps`
says whether a list of steps leads from logits to probabilities.
"""

from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar, TypeAlias, Union, get_args

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError
from surefoot.core.numerics import log_probs_and_complements, log_softmax, softmax
from surefoot.core.types import Logits, Probs
from surefoot.recalibrate.curves import CURVES, CalibrationCurve

Rows: TypeAlias = Float[np.ndarray, "n k"]
TOP_SCORES = 10  # the largest logits that `RowTemperature` looks at
LEAST_TEMPERATURE = 1e-6
ABOVE = 1 + 1e-6  # by which the largest stays larger than the second
FAR = 1e300  # log(1 - p) is at least -1e300: beyond, a product with gamma would be no number


class Domain(Enum):
    """What the numbers of a row are."""

    LOGITS = "logits"  # any numbers; -inf is a class that cannot be
    LOG_PROBABILITIES = "log-probabilities"  # logits whose exponentials sum to 1
    SCORES = "scores"  # numbers in [0, 1]
    PROBABILITIES = "probabilities"  # scores that sum to 1

    def serves_as(self, other: "Domain") -> bool:
        """Whether a row of this domain is one of the other, too."""
        wider = {Domain.LOG_PROBABILITIES: Domain.LOGITS, Domain.PROBABILITIES: Domain.SCORES}
        return other in (self, wider.get(self))


@dataclass(frozen=True, eq=False)
class Affine:
    """weight z + bias. The weight is one number, one number a class, or a matrix (k, k); the bias a number or (k,)."""

    takes: ClassVar[Domain] = Domain.LOGITS
    gives: ClassVar[Domain] = Domain.LOGITS

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

    takes: ClassVar[Domain] = Domain.LOGITS
    gives: ClassVar[Domain] = Domain.PROBABILITIES

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        return softmax(rows)


@dataclass(frozen=True)
class LogSoftmax:
    """z_j - log sum_i exp z_i."""

    takes: ClassVar[Domain] = Domain.LOGITS
    gives: ClassVar[Domain] = Domain.LOG_PROBABILITIES

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        return log_softmax(rows)


@dataclass(frozen=True, eq=False)
class InverseFocal:
    """log v - log g(v), v = softmax(z), g(v) = (1 - v)^gamma (1 - gamma v log v / (1 - v)).

    gamma is gammas[i] for thresholds[i-1] <= v < thresholds[i].
    """

    takes: ClassVar[Domain] = Domain.LOGITS
    gives: ClassVar[Domain] = Domain.LOGITS

    gammas: np.ndarray
    thresholds: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        log_p, log_u = log_probs_and_complements(rows)
        log_u = np.maximum(log_u, -FAR)
        exponent = self.gammas[np.searchsorted(np.log(self.thresholds), log_p, side="right")]
        with np.errstate(invalid="ignore"):  # of a class that cannot be
            ratio = np.where(log_u > -600, np.exp(np.minimum(log_p - log_u, 700)) * -log_p, 1.0)
        ratio = np.where(log_p > -np.inf, ratio, 0.0)
        return log_p - exponent * log_u - np.log1p(exponent * ratio)


@dataclass(frozen=True, eq=False)
class RowTemperature:
    """z / T(z): T = softplus(w3 relu(w2 relu(w1 x + b1) + b2) + b3), x the largest 10 of z - max z, in falling order.

    Where there are fewer classes than 10, x is as short. T is at least 1e-6.
    """

    takes: ClassVar[Domain] = Domain.LOGITS
    gives: ClassVar[Domain] = Domain.LOGITS

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

    takes: ClassVar[Domain] = Domain.SCORES
    gives: ClassVar[Domain] = Domain.SCORES

    curves: tuple[CalibrationCurve, ...]

    def __call__(self, rows: Rows) -> Rows:
        """Apply each curve to its column."""
        if len(self.curves) == 1:
            return self.curves[0](rows.ravel()).reshape(rows.shape)
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

    takes: ClassVar[Domain] = Domain.SCORES
    gives: ClassVar[Domain] = Domain.PROBABILITIES

    curves: tuple[CalibrationCurve, ...]
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
            others[at, top] = 0.0  # 0^0 is 1
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

    takes: ClassVar[Domain] = Domain.SCORES
    gives: ClassVar[Domain] = Domain.PROBABILITIES

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

    takes: ClassVar[Domain] = Domain.SCORES
    gives: ClassVar[Domain] = Domain.PROBABILITIES

    factors: np.ndarray

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        return Normalise()(rows * self.scaled())

    def scaled(self) -> Float[np.ndarray, " k"]:
        """Return the factors over the largest of them, whose products with probabilities sum to a finite number."""
        return self.factors / self.factors.max()


@dataclass(frozen=True, eq=False)
class Mix:
    """sum_i weights[i] parts[i](z) + the weight that is left / k."""

    takes: ClassVar[Domain | None] = None  # what its parts take
    gives: ClassVar[Domain] = Domain.PROBABILITIES

    weights: np.ndarray
    parts: "tuple[tuple[Step, ...], ...]"

    def __call__(self, rows: Rows) -> Rows:
        """Compute it."""
        total = np.full(rows.shape, max(1.0 - self.weights.sum(), 0.0) / rows.shape[1])
        for weight, part in zip(self.weights, self.parts, strict=True):
            total += weight * apply(part, rows)
        return np.minimum(total, 1.0)  # weights may sum to 1 and a rounding error


Step: TypeAlias = Union[  # noqa: UP007  (a forward reference inside)
    Affine, Softmax, LogSoftmax, InverseFocal, RowTemperature, Curves, TopCurve, Normalise, Reweigh, Mix
]
STEPS: dict[str, type] = {
    "affine": Affine,
    "softmax": Softmax,
    "log-softmax": LogSoftmax,
    "focal-undo": InverseFocal,
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

    Raises:
        InputError: logits that become larger than a float64 can be; what would follow is no number.

    >>> apply((Affine(np.array(2.0), np.array(0.0)), Softmax()), np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    with np.errstate(all="ignore"):
        for place, step in enumerate(steps, 1):
            logits = step(logits)
            if step.gives.serves_as(Domain.LOGITS):
                _check_range(logits, place, step)
    return logits


def _check_range(rows: Rows, place: int, step: "Step") -> None:
    """Refuse rows whose softmax would be no number: NaN, +inf, or nothing but -inf."""
    if np.isfinite(rows.sum()):  # one cheap pass, which may overflow; look closer only when it does
        return
    peak = rows.max(1)
    if not np.isfinite(peak).all():
        row = int(np.argmin(np.isfinite(peak)))
        raise InputError(
            f"step {place} ({name_of(step)}) makes {peak[row]} of row {row}: its logits become larger than "
            f"a float64 can be; divide the logits, or the step's weights"
        )


def ignores_offset(steps: tuple[Step, ...]) -> bool:
    """Whether a number added to all logits of a row changes nothing, as far as the steps tell.

    Probabilities have lost that number. So a calibrator that is learnt on them must ignore it, or it is another
    calibrator behind the network's logits.

    Property: sound. False says nothing.

    >>> vector = affine(np.array([1.0, 2.0]))
    >>> ignores_offset(vector), ignores_offset((LogSoftmax(), *vector)), ignores_offset(affine(2.0))
    (False, True, True)
    """
    for step in steps:
        match step:
            case Affine():  # one scale for all classes makes another number of it
                if step.weight.ndim == 2 or np.ptp(step.weight) > 0:
                    return False
            case RowTemperature():  # which sees differences alone
                pass
            case Mix():
                return all(ignores_offset(part) for part in step.parts)
            case Softmax() | LogSoftmax() | InverseFocal():
                return True
            case _:
                return False
    return False


def keeps_top(steps: tuple[Step, ...]) -> bool:
    """Whether one class whose logit is above all others has the largest probability, too, as far as the steps tell.

    Property: sound. False says nothing.
    """
    return all(_keeps_top(step) for step in steps)


def _keeps_top(step: "Step") -> bool:
    match step:
        case Affine():
            return not step.weight.ndim and bool(step.weight > 0) and bool(np.ptp(step.bias) == 0)
        case InverseFocal():
            return bool(np.ptp(step.gammas) == 0)
        case Reweigh():
            return bool(np.ptp(step.factors) == 0)
        case Mix():
            return bool(step.weights.sum() > 0) and all(keeps_top(part) for part in step.parts)
        case Curves():
            return False
        case _:
            return True


def scaling(temperature: float) -> tuple[Affine, Softmax]:
    """Return the steps of softmax(z / T)."""
    return affine(1 / temperature)


def affine(weight: np.ndarray | float, bias: np.ndarray | float = 0.0) -> tuple[Affine, Softmax]:
    """Return the steps of softmax(weight z + bias)."""
    return Affine(np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)), Softmax()


def name_of(value: "Step | CalibrationCurve") -> str:
    """Return what files call a step or a curve."""
    return _NAMES[type(value)]


def to_plain(value: Any) -> Any:
    """Turn steps, curves and arrays into what JSON holds: `{"step": name, field: ...}`, `{"curve": name, ...}`."""
    if type(value) in _NAMES:
        word = "step" if type(value) in STEPS.values() else "curve"
        return {word: _NAMES[type(value)]} | {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
