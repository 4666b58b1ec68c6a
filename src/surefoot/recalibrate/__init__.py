"""Recalibration: scikit-learn estimators from held-out logits to probabilities that can be trusted."""

import warnings as _warnings

import lazy_loader as _lazy

_RENAMED = {  # until version 0.3
    "AffineMap": "AffineCalibrator",
    "FocalUndo": "InverseFocal",
    "FocalUndoTemperature": "InverseFocalTemperature",
    "RECALIBRATORS": "CALIBRATORS",
    "Recalibrator": "Calibrator",
    "find_recalibrator": "find_calibrator",
    "load_recalibrator": "load_calibrator",
    "save_recalibrator": "save_calibrator",
}


_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Give a name of the stub, or what had another name before version 0.2, with a word on it."""
    if name not in _RENAMED:
        return _attribute(name)
    _warnings.warn(f"{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
    return _attribute(_RENAMED[name])
