"""Every recalibrator by name: feeds the command line, the law tests and the documentation."""

from collections.abc import Callable
from functools import partial

from surefoot.core.catalog import look_up
from surefoot.recalibrate.affine import MatrixScaling, VectorScaling
from surefoot.recalibrate.base import Recalibrator
from surefoot.recalibrate.focal import FocalUndo, FocalUndoTemperature
from surefoot.recalibrate.temperature import GridTemperatureScaling, TemperatureScaling

RECALIBRATORS: dict[str, Callable[..., Recalibrator]] = {
    "temperature": TemperatureScaling,
    "temperature-grid-ece": partial(GridTemperatureScaling, "ece"),
    "temperature-grid-nll": partial(GridTemperatureScaling, "nll"),
    "focal-undo": FocalUndo,
    "focal-undo-temperature": FocalUndoTemperature,
    "vector": VectorScaling,
    "matrix": MatrixScaling,
}


def find_recalibrator(name: str) -> Callable[..., Recalibrator]:
    """Return what makes the recalibrator of that name.

    Raises:
        InputError: there is no such recalibrator; the message lists those there are.
    """
    return look_up(RECALIBRATORS, "recalibrator", name)
