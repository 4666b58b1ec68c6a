"""A fitted calibrator as a JSON file that a person can read, any language can apply, and that runs nothing."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import read_json, write_json
from surefoot.recalibrate.base import Calibrator
from surefoot.recalibrate.binary import BinaryCalibrator
from surefoot.recalibrate.catalog import BINARY, CALIBRATORS
from surefoot.recalibrate.curves import CURVES, CalibrationCurve
from surefoot.recalibrate.focal import undo
from surefoot.recalibrate.steps import STEPS, Softmax, Step, affine, scaling, to_plain

FORMAT = "surefoot recalibrator"  # by the name that calibrators had first: files do not change with our words
VERSION = 2
_FORMATS = (FORMAT, "surefoot calibrator")  # for a day files said so
_RENAMED = {"FocalUndo": "InverseFocal", "FocalUndoTemperature": "InverseFocalTemperature"}
_KNOWN_ELSEWHERE = {"steps_", "n_classes_", "n_features_in_", "classes_"}


def save_calibrator(calibrator: Calibrator, path: Path | str) -> None:
    """Write the calibrator (its steps), and by which calibrator with which settings it was learnt.

    The schema is in docs/guide/recalibrating.md.

    Raises:
        NotFittedError: there is nothing learnt to write.
    """
    check_is_fitted(calibrator, "steps_")
    learnt = {n: v for n, v in vars(calibrator).items() if n.endswith("_") and n not in _KNOWN_ELSEWHERE}
    record = {
        "format": FORMAT,
        "version": VERSION,
        "name": type(calibrator).__name__,
        "settings": {name: _plain(value) for name, value in calibrator.get_params(deep=False).items()},
        "learnt": {name: _plain(value) for name, value in learnt.items()},
        "classes": calibrator.n_classes_,
        "steps": to_plain(calibrator.steps_),
    }
    write_json(path, record)


def load_calibrator(path: Path | str) -> Calibrator:
    """Read what `save_calibrator` wrote, in this version or the first.

    Raises:
        FileError: the file is missing, not of this format, of a newer version, or damaged; or its steps do not lead
            from logits to probabilities (`checks.check_steps`).
    """
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") not in _FORMATS:
        raise FileError(f"{path} is not a calibrator file (no 'format': '{FORMAT}' in it)")
    if record.get("version") not in (1, VERSION):
        raise FileError(f"{path} is of version {record.get('version')}; this surefoot reads 1 and {VERSION}")
    classes = {type(make()).__name__: type(make()) for make in CALIBRATORS.values()}
    name = record.get("name")
    record["name"] = _RENAMED.get(name, name) if isinstance(name, str) else None
    if record["name"] not in classes:
        raise FileError(f"{path} holds a {name!r}, which this surefoot does not have")
    try:
        record = _from_first(record) if record["version"] == 1 else record
        calibrator = classes[record["name"]](**{k: _setting(v) for k, v in record["settings"].items()})
        calibrator.set_steps(steps_from_plain(record["steps"]), record["classes"])
        for key, value in record["learnt"].items():
            if not (key.isidentifier() and key.endswith("_") and not key.startswith("_")) or key in _KNOWN_ELSEWHERE:
                raise ValueError(f"{key!r} is not a learnt value")
            setattr(calibrator, key, np.array(value, dtype=np.float64) if isinstance(value, list) else value)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
        raise FileError(f"{path} is damaged: {_reason(error)}") from error
    return calibrator


def _reason(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())


def _from_first(record: dict[str, Any]) -> dict[str, Any]:
    """Write a record of version 1, which held what was learnt and no steps, as one of this version."""
    settings, learnt = record["settings"], dict(record["learnt"])
    translated: tuple[Step, ...] = scaling(learnt["temperature_"]) if "temperature_" in learnt else (Softmax(),)
    if record["name"].startswith("InverseFocal"):
        translated = (undo(_setting(settings["gamma"]), tuple(settings["thresholds"])), *translated)
    if "weight_" in learnt:  # vector and matrix scaling
        translated = affine(np.array(learnt["weight_"], dtype=np.float64), np.array(learnt["bias_"], dtype=np.float64))
    known = {name: value for name, value in learnt.items() if name not in ("n_classes_", "weight_", "bias_")}
    steps = [to_plain(step) for step in translated]
    return record | {"learnt": known, "classes": learnt["n_classes_"], "steps": steps}


def _plain(value: Any) -> Any:
    if isinstance(value, BinaryCalibrator):
        return {"name": type(value).__name__} | vars(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not np.isfinite(value):
        return None  # JSON has no such numbers; what the calibrator computes is in its steps
    return list(value) if isinstance(value, tuple) else value


def _setting(value: Any) -> Any:
    if isinstance(value, dict):
        fields = {k: v for k, v in value.items() if k != "name"}
        return {kind.__name__: kind for kind in BINARY.values()}[value["name"]](**fields)
    return tuple(value) if isinstance(value, list) else value


def steps_from_plain(value: Any) -> tuple[Step, ...]:
    """Read the list of steps that `to_plain` wrote. Whether it is a legal calibrator is `check_steps`'s affair.

    Raises:
        InputError: it is damaged; the message says which step, and what a step of that name holds.
    """
    if not isinstance(value, list):
        raise InputError(f"steps must be a list of steps, got {_short(value)}")
    return tuple(_read(v, "step", STEPS, f"step {i}") for i, v in enumerate(value, 1))


def _read(value: Any, word: str, kinds: dict[str, Any], where: str) -> Any:
    """Read a step or a curve: an object with its name, and its fields."""
    name = value.get(word) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in kinds:
        raise InputError(f'{where} must be an object with "{word}": one of {", ".join(kinds)}; got {_short(value)}')
    names = [field.name for field in fields(kinds[name])]
    where = f"{where} ({name})"
    if sorted(names) != sorted(key for key in value if key != word):
        raise InputError(f"{where} must hold {', '.join(names) or 'nothing else'}; it holds {', '.join(value)}")
    readers: dict[str, Callable[[Any, str], Any]] = {"curves": _read_curves, "parts": _read_parts}
    content = {key: readers.get(key, _numbers)(value[key], f"{where}: {key}") for key in names}
    for field in fields(kinds[name]):
        if field.type is float:
            content[field.name] = _number(content[field.name], f"{where}: {field.name}")
    try:
        return kinds[name](**content)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _read_curves(value: Any, where: str) -> tuple[CalibrationCurve, ...]:
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list of curves, got {_short(value)}")
    return tuple(_read(v, "curve", CURVES, f"{where}, curve {i}") for i, v in enumerate(value, 1))


def _read_parts(value: Any, where: str) -> tuple[tuple[Step, ...], ...]:
    if not isinstance(value, list) or not all(isinstance(v, list) for v in value):
        raise InputError(f"{where} must be a list of lists of steps, got {_short(value)}")
    return tuple(
        tuple(_read(v, "step", STEPS, f"{where}, part {i}, step {j}") for j, v in enumerate(part, 1))
        for i, part in enumerate(value, 1)
    )


def _numbers(value: Any, where: str) -> np.ndarray:
    """Read a number, a list of numbers or a table of them."""
    try:
        array = np.array(value)
        if array.dtype.kind in "iuf":
            return array.astype(np.float64)
        if array.size == 0:
            return np.zeros(array.shape)
    except (ValueError, OverflowError):  # ragged, or too large
        pass
    raise InputError(f"{where} must be a number, a list of numbers or a table of them, got {_short(value)}")


def _number(value: np.ndarray, where: str) -> float:
    if value.ndim:
        raise InputError(f"{where} must be one number, got shape {value.shape}")
    return float(value)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
