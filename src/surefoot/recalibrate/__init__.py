"""Recalibration: scikit-learn estimators from held-out logits to probabilities that can be trusted."""

import importlib as _importlib
import warnings as _warnings
from typing import TYPE_CHECKING as _TYPE_CHECKING

from surefoot.recalibrate.affine import DirichletCalibration as DirichletCalibration
from surefoot.recalibrate.affine import MatrixScaling as MatrixScaling
from surefoot.recalibrate.affine import StructuredMatrixScaling as StructuredMatrixScaling
from surefoot.recalibrate.affine import VectorScaling as VectorScaling
from surefoot.recalibrate.auto import Auto as Auto
from surefoot.recalibrate.auto import Choice as Choice
from surefoot.recalibrate.auto import Identity as Identity
from surefoot.recalibrate.auto import choose as choose
from surefoot.recalibrate.base import AffineCalibrator as AffineCalibrator
from surefoot.recalibrate.base import Calibrator as Calibrator
from surefoot.recalibrate.binary import BBQ as BBQ
from surefoot.recalibrate.binary import Beta as Beta
from surefoot.recalibrate.binary import BinaryCalibrator as BinaryCalibrator
from surefoot.recalibrate.binary import Histogram as Histogram
from surefoot.recalibrate.binary import Isotonic as Isotonic
from surefoot.recalibrate.binary import Platt as Platt
from surefoot.recalibrate.binary import ScalingBinning as ScalingBinning
from surefoot.recalibrate.binary import VennAbers as VennAbers
from surefoot.recalibrate.catalog import BINARY as BINARY
from surefoot.recalibrate.catalog import CALIBRATORS as CALIBRATORS
from surefoot.recalibrate.catalog import find_calibrator as find_calibrator
from surefoot.recalibrate.classifier import RecalibratedClassifier as RecalibratedClassifier
from surefoot.recalibrate.conformal import CONFORMAL as CONFORMAL
from surefoot.recalibrate.conformal import AdaptiveSets as AdaptiveSets
from surefoot.recalibrate.conformal import ConformalSets as ConformalSets
from surefoot.recalibrate.conformal import RegularizedSets as RegularizedSets
from surefoot.recalibrate.conformal import SplitConformal as SplitConformal
from surefoot.recalibrate.decomposition import Decomposition as Decomposition
from surefoot.recalibrate.decomposition import decompose as decompose
from surefoot.recalibrate.files import load_calibrator as load_calibrator
from surefoot.recalibrate.files import save_calibrator as save_calibrator
from surefoot.recalibrate.focal import InverseFocal as InverseFocal
from surefoot.recalibrate.focal import InverseFocalTemperature as InverseFocalTemperature
from surefoot.recalibrate.priors import estimate_priors as estimate_priors
from surefoot.recalibrate.priors import with_priors as with_priors
from surefoot.recalibrate.reductions import OneVsRest as OneVsRest
from surefoot.recalibrate.reductions import TopLabel as TopLabel
from surefoot.recalibrate.spline import Spline as Spline
from surefoot.recalibrate.temperature import EnsembleTemperatureScaling as EnsembleTemperatureScaling
from surefoot.recalibrate.temperature import GridTemperatureScaling as GridTemperatureScaling
from surefoot.recalibrate.temperature import ParameterizedTemperatureScaling as ParameterizedTemperatureScaling
from surefoot.recalibrate.temperature import TemperatureScaling as TemperatureScaling

if _TYPE_CHECKING:
    from surefoot.recalibrate.onnx import load_onnx as load_onnx
    from surefoot.recalibrate.onnx import model_to_onnx as model_to_onnx
    from surefoot.recalibrate.onnx import save_onnx as save_onnx

_OF_ONNX = ("load_onnx", "model_to_onnx", "save_onnx")  # which is an extra
_RENAMED = {  # names of before, kept for one version
    "AffineMap": "AffineCalibrator",
    "FocalUndo": "InverseFocal",
    "FocalUndoTemperature": "InverseFocalTemperature",
    "RECALIBRATORS": "CALIBRATORS",
    "Recalibrator": "Calibrator",
    "find_recalibrator": "find_calibrator",
    "load_recalibrator": "load_calibrator",
    "save_recalibrator": "save_calibrator",
}


def __getattr__(name: str) -> object:
    """Give what needs ONNX, when it is asked for, and what had another name before, with a word on it."""
    if name in _OF_ONNX:
        return getattr(_importlib.import_module("surefoot.recalibrate.onnx"), name)
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _warnings.warn(f"{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]


def __dir__() -> list[str]:
    return sorted([*globals(), *_OF_ONNX])
