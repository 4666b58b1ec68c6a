"""Every calibrator by name: feeds the command line, the law tests and the documentation."""

from collections.abc import Callable
from functools import partial

from surefoot.core.catalog import look_up
from surefoot.recalibrate.affine import DirichletCalibration, MatrixScaling, StructuredMatrixScaling, VectorScaling
from surefoot.recalibrate.auto import Auto, Identity
from surefoot.recalibrate.base import Calibrator
from surefoot.recalibrate.binary import (
    BBQ,
    Beta,
    BinaryCalibrator,
    Histogram,
    Isotonic,
    Platt,
    ScalingBinning,
    VennAbers,
)
from surefoot.recalibrate.focal import InverseFocal, InverseFocalTemperature
from surefoot.recalibrate.reductions import OneVsRest, TopLabel
from surefoot.recalibrate.spline import Spline
from surefoot.recalibrate.temperature import (
    EnsembleTemperatureScaling,
    GridTemperatureScaling,
    ParameterizedTemperatureScaling,
    TemperatureScaling,
)

BINARY: dict[str, type[BinaryCalibrator]] = {
    "platt": Platt,
    "beta": Beta,
    "isotonic": Isotonic,
    "histogram": Histogram,
    "bbq": BBQ,
    "scaling-binning": ScalingBinning,
    "venn-abers": VennAbers,
    "spline": Spline,
}

CALIBRATORS: dict[str, Callable[..., Calibrator]] = {
    "auto": Auto,
    "none": Identity,
    "temperature": TemperatureScaling,
    "temperature-grid-ece": partial(GridTemperatureScaling, "ece"),
    "temperature-grid-nll": partial(GridTemperatureScaling, "nll"),
    "temperature-ensemble": EnsembleTemperatureScaling,
    "temperature-parameterized": ParameterizedTemperatureScaling,
    "focal-undo": InverseFocal,
    "focal-undo-temperature": InverseFocalTemperature,
    "vector": VectorScaling,
    "matrix": MatrixScaling,
    "dirichlet": DirichletCalibration,
    "structured": StructuredMatrixScaling,
    "platt": partial(OneVsRest, Platt()),
    "beta": partial(OneVsRest, Beta()),
    "isotonic": partial(OneVsRest, Isotonic()),
    "isotonic-temperature": partial(OneVsRest, Isotonic(), temperature=True),
    "histogram": partial(OneVsRest, Histogram(equal_mass=False)),
    "bbq": partial(OneVsRest, BBQ()),
    "scaling-binning": partial(OneVsRest, ScalingBinning()),
    "venn-abers": partial(OneVsRest, VennAbers()),
    "spline": partial(TopLabel, Spline()),
    "spline-classwise": partial(OneVsRest, Spline(clock="deviation")),
    "top-platt": partial(TopLabel, Platt()),
    "top-beta": partial(TopLabel, Beta()),
    "top-isotonic": partial(TopLabel, Isotonic()),
    "top-histogram": partial(TopLabel, Histogram()),
    "top-histogram-per-class": partial(TopLabel, Histogram(), per_class=True),
    "top-bbq": partial(TopLabel, BBQ()),
    "top-scaling-binning": partial(TopLabel, ScalingBinning()),
    "top-venn-abers": partial(TopLabel, VennAbers()),
}


def find_calibrator(name: str) -> Callable[..., Calibrator]:
    """Return what makes the calibrator of that name.

    Raises:
        InputError: there is no such calibrator; the message lists those there are.
    """
    return look_up(CALIBRATORS, "calibrator", name)
