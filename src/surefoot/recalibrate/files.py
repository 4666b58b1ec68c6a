"""A fitted recalibrator as a JSON file that a person can read, and that runs nothing when it is loaded."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from surefoot.core.errors import FileError
from surefoot.core.files import read_json, write_json
from surefoot.recalibrate.base import Recalibrator
from surefoot.recalibrate.catalog import RECALIBRATORS

_FORMAT = "surefoot recalibrator"
_VERSION = 1


def save_recalibrator(recalibrator: Recalibrator, path: Path | str) -> None:
    """Write name, settings and learnt values.

    Raises:
        NotFittedError: there is nothing learnt to write.
    """
    check_is_fitted(recalibrator, "n_classes_")
    learnt = {name: _plain(value) for name, value in vars(recalibrator).items() if name.endswith("_")}
    settings = {name: _plain(value) for name, value in recalibrator.get_params().items()}
    name = type(recalibrator).__name__
    write_json(path, {"format": _FORMAT, "version": _VERSION, "name": name, "settings": settings, "learnt": learnt})


def load_recalibrator(path: Path | str) -> Recalibrator:
    """Read what `save_recalibrator` wrote.

    Raises:
        FileError: the file is missing, not of this format, of a newer version, or damaged.
    """
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise FileError(f"{path} is not a recalibrator file (no 'format': '{_FORMAT}' in it)")
    if record.get("version") != _VERSION:
        raise FileError(f"{path} is of version {record.get('version')}; this surefoot reads version {_VERSION}")
    classes = {type(make()).__name__: type(make()) for make in RECALIBRATORS.values()}
    if record.get("name") not in classes:
        raise FileError(f"{path} holds a {record.get('name')!r}, which this surefoot does not have")
    try:
        settings = {key: tuple(v) if isinstance(v, list) else v for key, v in record["settings"].items()}
        recalibrator = classes[record["name"]](**settings)
        n_classes = int(record["learnt"]["n_classes_"])
        for key, value in record["learnt"].items():
            if not (key.isidentifier() and key.endswith("_") and not key.startswith("_")):
                raise ValueError(f"{key!r} is not a learnt value")
            setattr(recalibrator, key, np.array(value, dtype=np.float64) if isinstance(value, list) else value)
        probe = recalibrator.predict_proba(np.arange(2.0 * n_classes).reshape(2, n_classes) - 1)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
    if not np.isfinite(probe).all():
        raise FileError(f"{path} is damaged: its map does not give probabilities")
    return recalibrator


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
