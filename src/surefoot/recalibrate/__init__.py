"""Recalibration: scikit-learn estimators from held-out logits to probabilities that can be trusted."""

from surefoot.recalibrate.affine import MatrixScaling as MatrixScaling
from surefoot.recalibrate.affine import VectorScaling as VectorScaling
from surefoot.recalibrate.base import AffineMap as AffineMap
from surefoot.recalibrate.base import Recalibrator as Recalibrator
from surefoot.recalibrate.catalog import RECALIBRATORS as RECALIBRATORS
from surefoot.recalibrate.catalog import find_recalibrator as find_recalibrator
from surefoot.recalibrate.files import load_recalibrator as load_recalibrator
from surefoot.recalibrate.files import save_recalibrator as save_recalibrator
from surefoot.recalibrate.focal import FocalUndo as FocalUndo
from surefoot.recalibrate.focal import FocalUndoTemperature as FocalUndoTemperature
from surefoot.recalibrate.temperature import GridTemperatureScaling as GridTemperatureScaling
from surefoot.recalibrate.temperature import TemperatureScaling as TemperatureScaling
