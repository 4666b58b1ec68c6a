"""Multiclass calibrators from binary calibrators: one class against the rest, or the predicted class alone."""

import numpy as np

from surefoot.core.numerics import row_log_sums, top_scores
from surefoot.core.types import Labels, Logits
from surefoot.recalibrate.base import Calibrator, Steps
from surefoot.recalibrate.binary import BinaryCalibrator, Histogram, Isotonic
from surefoot.recalibrate.curves import CalibrationCurve, PiecewiseLinear
from surefoot.recalibrate.steps import Affine, Curves, Normalise, Softmax, TopCurve
from surefoot.recalibrate.temperature import TemperatureScaling

_COLUMNS = 16  # classes at a time: a cache line of float32 logits
_FEW = 10  # wrong rows below which nothing is learnt from them
_ENOUGH = 100  # rows from which a class gets a top-label curve of its own


def _before(temperature: bool, logits: Logits, labels: Labels) -> tuple[Steps, float]:
    """Return the step that divides by the best temperature, if one is wanted, and its factor."""
    if not temperature:
        return (), 1.0
    scale = 1 / TemperatureScaling().fit(logits, labels).temperature_
    return (Affine(np.array(scale), np.array(0.0)),), scale


def _both(correct: np.ndarray) -> bool:
    return bool(correct.any() and not correct.all())


def _fit(calibrator: BinaryCalibrator, score: np.ndarray, correct: np.ndarray) -> CalibrationCurve:
    """Learn a curve; scores stay where there are positives alone, or negatives alone: nothing bounds a curve."""
    return (
        calibrator.fit(score, correct)
        if _both(correct)
        else PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    )


class OneVsRest(Calibrator):
    """Recalibrate every class's probability by a binary calibrator of its own, then divide by the sum.

    The calibrator is isotonic if none is given. With `temperature`, the logits are first divided by the best one (for
    isotonic curves: IROvA-TS).

    Property: can change the predicted class, and tie classes.
    Reference: Zadrozny and Elkan 2002; Zhang, Kailkhura, Han 2020 (after a temperature).

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5]])
    >>> OneVsRest(Isotonic(0)).fit(z, [0, 0, 1, 0]).predict_proba(z)[3]
    array([1., 0.])
    """

    def __init__(self, calibrator: BinaryCalibrator | None = None, temperature: bool = False) -> None:
        self.calibrator = calibrator
        self.temperature = temperature

    @property
    def keeps_accuracy(self) -> bool:
        """False: each class has a curve of its own."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        first, scale = _before(self.temperature, logits, labels)
        sums = row_log_sums(logits, scale)
        calibrator = Isotonic() if self.calibrator is None else self.calibrator
        curves: list[CalibrationCurve] = []
        for start in range(0, logits.shape[1], _COLUMNS):
            chunk = np.multiply(logits[:, start : start + _COLUMNS].T, scale, dtype=np.float64)
            chunk -= sums
            np.minimum(np.exp(chunk, out=chunk), 1.0, out=chunk)
            curves += [_fit(calibrator, p, labels == start + j) for j, p in enumerate(chunk)]
        return (*first, Softmax(), Curves(tuple(curves)), Normalise())


class TopLabel(Calibrator):
    """Recalibrate the largest probability against whether it is right; the others share the rest as before.

    How the others share what is left matters in the rows that are wrong: with `fit_rest` the others' odds are raised to
    the power of least NLL in those rows (if there are ten), without it they stay as they are, as published.

    With `per_class`, each predicted class has a curve of its own, learnt on the rows that predict it (where they are
    fewer than 100, the curve of all rows): top-label calibration, by reduction to binary problems.

    The calibrator is a histogram if none is given.

    Property: keeps accuracy: the largest stays the largest.
    Reference: Gupta and Ramdas 2022, *Top-label calibration and multiclass-to-binary reductions*, algorithms 1 and 3.

    >>> z = np.array([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
    >>> TopLabel(Isotonic(0)).fit(z, [0, 0, 1, 0]).predict_proba(z[:1])
    array([[1., 0., 0.]])
    """

    def __init__(
        self,
        calibrator: BinaryCalibrator | None = None,
        per_class: bool = False,
        fit_rest: bool = True,
    ) -> None:
        self.calibrator = calibrator
        self.per_class = per_class
        self.fit_rest = fit_rest

    @property
    def keeps_accuracy(self) -> bool:
        """True: the new confidence is at least what keeps the class on top."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        score, top = top_scores(logits)
        correct = top == labels
        power = _power_of_rest(logits[~correct], labels[~correct], top[~correct]) if self.fit_rest else np.array(1.0)
        calibrator = Histogram() if self.calibrator is None else self.calibrator
        shared = _fit(calibrator, score, correct)
        if not self.per_class:
            return (Softmax(), TopCurve((shared,), power))
        enough = max(_ENOUGH, getattr(calibrator, "least_rows", 0))
        members = [top == j for j in range(logits.shape[1])]
        fitted = [
            calibrator.fit(score[o], correct[o]) if o.sum() >= enough and _both(correct[o]) else shared for o in members
        ]
        return (Softmax(), TopCurve(tuple(fitted), power))


def _power_of_rest(logits: Logits, labels: Labels, top: Labels) -> np.ndarray:
    """Find the inverse temperature of least NLL among the classes that were not predicted, in rows that are wrong."""
    n, k = logits.shape
    if n < _FEW or k < 3:
        return np.array(1.0)
    kept = np.arange(k) != top[:, None]
    others = logits[kept].reshape(n, k - 1)
    temperature = TemperatureScaling().fit(others, labels - (labels > top))
    return np.array(1 / temperature.temperature_)
