"""The door of calibrators: whoever takes a list of steps takes it from here, so that all who apply it may trust it."""

from typing import Any

import numpy as np

from surefoot.core.errors import InputError
from surefoot.recalibrate.curves import CalibrationCurve
from surefoot.recalibrate.steps import (
    LEAST_TEMPERATURE,
    STEPS,
    TOP_SCORES,
    Affine,
    Curves,
    Domain,
    InverseFocal,
    Mix,
    Reweigh,
    RowTemperature,
    Step,
    TopCurve,
    name_of,
)

ROUNDING = 1e-12  # by which learnt values may leave [0, 1], and weights sum to more than 1


def check_steps(steps: tuple[Step, ...], classes: int, given: Domain = Domain.LOGITS) -> tuple[Step, ...]:
    """Return steps that lead from rows of a domain to probabilities, whatever the row; or say why they do not.

    Every step must take what the one before gives, and its numbers must keep what it gives in its domain: shapes of so
    many classes, everything finite, curves within [0, 1], weights and factors of at least 0.

    Property: rows that a checked calibrator gives are in the simplex, or refused by `apply`.

    Raises:
        InputError: not such a list; the message says which step, what is wrong, and what is allowed.

    >>> from surefoot.recalibrate.steps import Softmax
    >>> check_steps((Softmax(), Softmax()), 3)
    Traceback (most recent call last):
    surefoot.core.errors.InputError: step 2 of 2 (softmax) takes logits, and is given probabilities; ...
    """
    if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
        raise InputError(f"a calibrator is of a whole number of classes, at least 2; got {classes!r}")
    _check_list(steps, int(classes), given, "")
    return tuple(steps)


def check_reach(steps: tuple[Step, ...], largest: float) -> None:
    """Refuse a checked calibrator that could make more of logits of at most this size than a float64 can hold.

    Raises:
        InputError: it could: its probabilities might be no numbers.
    """
    reached = _reach(steps, largest)
    if not reached < 1e307:  # true of NaN
        raise InputError(
            f"the calibrator could make {reached:.2g} of float32 logits, more than a float64 can hold; "
            f"fit it on logits of an ordinary size"
        )


def _reach(steps: tuple[Step, ...], largest: float) -> float:
    """Bound the size of all that steps compute from logits of at most some size."""
    most = largest
    with np.errstate(over="ignore", invalid="ignore"):
        for step in steps:
            match step:
                case Affine():
                    rows = np.abs(step.weight).sum(1) if step.weight.ndim == 2 else np.abs(step.weight)
                    largest = float(np.max(rows * largest + np.abs(step.bias)))
                case InverseFocal():
                    largest = float((2 * largest + 100.0) * (1 + step.gammas.max()))
                case RowTemperature():
                    hidden = float((np.abs(step.w1).sum(1) * 2 * largest + np.abs(step.b1)).max())
                    hidden = float((np.abs(step.w2).sum(1) * hidden + np.abs(step.b2)).max())
                    most = max(most, float(np.abs(step.w3).sum() * hidden + np.abs(step.b3)))
                    largest /= LEAST_TEMPERATURE
                case Mix():
                    most = max(most, *(_reach(part, largest) for part in step.parts))
                case _:
                    largest = 2 * largest + 100.0
            most = largest if np.isnan(largest) else max(most, largest)
    return most


def _check_list(steps: Any, k: int, given: Domain, where: str) -> None:
    if not isinstance(steps, tuple | list) or not all(type(step) in STEPS.values() for step in steps):
        raise InputError(f"{where}a calibrator is a tuple of steps, got {steps!r:.60}")
    for i, step in enumerate(steps, 1):
        place = f"{where}step {i} of {len(steps)} ({name_of(step)})"
        if step.takes is not None and not given.serves_as(step.takes):
            raise InputError(f"{place} takes {step.takes.value}, and is given {given.value}; {_who_takes(given)}")
        fault = _fault(step, k)
        if fault is not None:
            raise InputError(f"{place}: {fault}")
        if isinstance(step, Mix):
            for j, part in enumerate(step.parts, 1):
                _check_list(part, k, given, f"{place}, part {j}: ")
        given = step.gives
    if not given.serves_as(Domain.PROBABILITIES):
        end = "log-softmax and logits need a softmax, scores need normalise" if steps else "it has no step: add softmax"
        raise InputError(f"{where}a calibrator must end in probabilities, this one ends in {given.value}: {end}")


def _who_takes(given: Domain) -> str:
    able = [name for name, step in STEPS.items() if step.takes is None or given.serves_as(step.takes)]
    return f"what takes {given.value}: {', '.join(able)}"


def _fault(step: Step, k: int) -> str | None:  # noqa: PLR0911  (one case a step)
    """Say what is wrong with a step's own numbers."""
    match step:
        case Affine():
            return _shape(step.weight, "weight", (), (k,), (k, k)) or _shape(step.bias, "bias", (), (k,))
        case InverseFocal():
            return _fault_of_undo(step)
        case RowTemperature():
            return _fault_of_row_temperature(step, k)
        case Curves():
            return _fault_of_curves(step.curves, k)
        case TopCurve():
            return (
                _shape(step.power, "power", ())
                or (f"power must be at least 0, got {step.power}" if step.power < 0 else None)
                or _fault_of_curves(step.curves, k)
            )
        case Reweigh():
            return _shape(step.factors, "factors", (k,)) or _negative(step.factors, "factors", "not all 0")
        case Mix():
            return _fault_of_mix(step)
        case _:
            return None


def _shape(value: Any, name: str, *shapes: tuple[int, ...]) -> str | None:
    """Say what is wrong with an array that must be finite numbers of one of some shapes."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "fiu":
        return f"{name} must be an array of numbers, got {value!r:.60}"
    value = np.asarray(value)
    if value.shape not in shapes:
        allowed = " or ".join("a number" if shape == () else f"of shape {shape}" for shape in shapes)
        return f"{name} must be {allowed}, got shape {value.shape}"
    if not np.isfinite(value).all():
        return f"{name} must be finite, got {value[~np.isfinite(value)].flat[0]}"
    return None


def _negative(value: np.ndarray, name: str, more: str) -> str | None:
    if value.min() >= 0 and value.max() > 0:
        return None
    return f"{name} must be at least 0, {more}; got {value.min():g} to {value.max():g}"


def _fault_of_undo(step: InverseFocal) -> str | None:
    size = np.shape(step.thresholds)[:1] or (0,)
    fault = _shape(step.thresholds, "thresholds", size) or _shape(step.gammas, "gammas", (size[0] + 1,))
    if fault is not None:
        return fault
    if step.gammas.min() < 0:
        return f"gammas must be at least 0, got {step.gammas.min():g}"
    if (np.diff(np.r_[0.0, step.thresholds, 1.0]) <= 0).any():
        return f"thresholds must increase strictly, between 0 and 1 without either; got {step.thresholds.tolist()}"
    return None


def _fault_of_row_temperature(step: RowTemperature, k: int) -> str | None:
    first, second = (np.shape(b)[:1] or (0,) for b in (step.b1, step.b2))
    wanted = {
        "w1": (*first, min(k, TOP_SCORES)), "b1": first, "w2": (*second, *first), "b2": second, "w3": second, "b3": ()
    }  # fmt: skip
    faults = (_shape(getattr(step, name), name, shape) for name, shape in wanted.items())
    return next((fault for fault in faults if fault is not None), None)


def _fault_of_curves(curves: Any, k: int) -> str | None:
    if not isinstance(curves, tuple | list) or not all(isinstance(curve, CalibrationCurve) for curve in curves):
        return f"curves must be a tuple of curves, got {curves!r:.60}"
    if len(curves) not in (1, k):
        return f"curves must be one for all classes, or one for each of the {k}; got {len(curves)}"
    for i, curve in enumerate(curves, 1):
        low, high = curve.range
        if low < -ROUNDING or high > 1 + ROUNDING:
            return f"curve {i} ({name_of(curve)}) must stay within 0 and 1; it goes from {low:g} to {high:g}"
    return None


def _fault_of_mix(step: Mix) -> str | None:
    if not isinstance(step.parts, tuple | list) or not len(step.parts):
        return f"parts must be a tuple of at least one list of steps, got {step.parts!r:.60}"
    fault = _shape(step.weights, "weights", (len(step.parts),))
    if fault is not None:
        return f"{fault}: one a part"
    if step.weights.min() < 0 or step.weights.sum() > 1 + ROUNDING:
        return f"weights must be at least 0, with a sum of at most 1; got {step.weights.tolist()}"
    return None
