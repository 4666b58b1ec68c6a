"""A fitted recalibrator as a JSON file that a person can read, any language can apply, and that runs nothing."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from surefoot.core.errors import FileError
from surefoot.core.files import read_json, write_json
from surefoot.recalibrate.base import Recalibrator
from surefoot.recalibrate.binary import BinaryCalibrator
from surefoot.recalibrate.catalog import BINARY, RECALIBRATORS
from surefoot.recalibrate.focal import undo
from surefoot.recalibrate.steps import Softmax, Step, affine, from_plain, scaling, to_plain

FORMAT = "surefoot recalibrator"
VERSION = 2
_KNOWN_ELSEWHERE = {"map_", "n_classes_", "n_features_in_", "classes_"}


def save_recalibrator(recalibrator: Recalibrator, path: Path | str) -> None:
    """Write the map (its steps), and by which recalibrator with which settings it was learnt.

    The schema is in docs/guide/recalibrating.md.

    Raises:
        NotFittedError: there is nothing learnt to write.
    """
    check_is_fitted(recalibrator, "map_")
    learnt = {n: v for n, v in vars(recalibrator).items() if n.endswith("_") and n not in _KNOWN_ELSEWHERE}
    record = {
        "format": FORMAT,
        "version": VERSION,
        "name": type(recalibrator).__name__,
        "settings": {name: _plain(value) for name, value in recalibrator.get_params(deep=False).items()},
        "learnt": {name: _plain(value) for name, value in learnt.items()},
        "classes": recalibrator.n_classes_,
        "steps": to_plain(recalibrator.map_),
    }
    write_json(path, record)


def load_recalibrator(path: Path | str) -> Recalibrator:
    """Read what `save_recalibrator` wrote, in this version or the first.

    Raises:
        FileError: the file is missing, not of this format, of a newer version, or damaged.
    """
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FileError(f"{path} is not a recalibrator file (no 'format': '{FORMAT}' in it)")
    if record.get("version") not in (1, VERSION):
        raise FileError(f"{path} is of version {record.get('version')}; this surefoot reads 1 and {VERSION}")
    classes = {type(make()).__name__: type(make()) for make in RECALIBRATORS.values()}
    if record.get("name") not in classes:
        raise FileError(f"{path} holds a {record.get('name')!r}, which this surefoot does not have")
    try:
        record = _from_first(record) if record["version"] == 1 else record
        recalibrator = classes[record["name"]](**{k: _setting(v) for k, v in record["settings"].items()})
        k = int(record["classes"])
        recalibrator.set_map(tuple(from_plain(step) for step in record["steps"]), k)
        for key, value in record["learnt"].items():
            if not (key.isidentifier() and key.endswith("_") and not key.startswith("_")) or key in _KNOWN_ELSEWHERE:
                raise ValueError(f"{key!r} is not a learnt value")
            setattr(recalibrator, key, np.array(value, dtype=np.float64) if isinstance(value, list) else value)
        probe = recalibrator.predict_proba(np.arange(2.0 * k).reshape(2, k) - 1)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
    if probe.shape != (2, k) or not np.isfinite(probe).all() or not np.allclose(probe.sum(1), 1):
        raise FileError(f"{path} is damaged: its map does not give probabilities")
    return recalibrator


def _from_first(record: dict[str, Any]) -> dict[str, Any]:
    """Write a record of version 1, which held what was learnt and no steps, as one of this version."""
    settings, learnt = record["settings"], dict(record["learnt"])
    made: tuple[Step, ...] = scaling(learnt["temperature_"]) if "temperature_" in learnt else (Softmax(),)
    if record["name"].startswith("FocalUndo"):
        made = (undo(_setting(settings["gamma"]), tuple(settings["thresholds"])), *made)
    if "weight_" in learnt:  # vector and matrix scaling
        made = affine(np.array(learnt["weight_"], dtype=np.float64), np.array(learnt["bias_"], dtype=np.float64))
    known = {name: value for name, value in learnt.items() if name not in ("n_classes_", "weight_", "bias_")}
    steps = [to_plain(step) for step in made]
    return record | {"learnt": known, "classes": learnt["n_classes_"], "steps": steps}


def _plain(value: Any) -> Any:
    if isinstance(value, BinaryCalibrator):
        return {"name": type(value).__name__} | vars(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _setting(value: Any) -> Any:
    if isinstance(value, dict):
        fields = {k: v for k, v in value.items() if k != "name"}
        return {made.__name__: made for made in BINARY.values()}[value["name"]](**fields)
    return tuple(value) if isinstance(value, list) else value
