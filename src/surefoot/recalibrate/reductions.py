"""Multiclass maps from binary calibrators: one class against the rest, or the predicted class alone."""

import numpy as np

from surefoot.core.numerics import row_log_sums, top_scores
from surefoot.core.types import Labels, Logits
from surefoot.recalibrate.base import Map, Recalibrator
from surefoot.recalibrate.binary import BinaryCalibrator, Histogram, Isotonic
from surefoot.recalibrate.curves import Curve
from surefoot.recalibrate.steps import Affine, Curves, Normalise, Softmax, TopCurve
from surefoot.recalibrate.temperature import TemperatureScaling

_COLUMNS = 16  # classes at a time: a cache line of float32 logits
_ENOUGH = 100  # rows from which a class gets a top-label curve of its own


class OneVsRest(Recalibrator):
    """Recalibrate every class's probability by a binary calibrator of its own, then divide by the sum.

    With `temperature`, the logits are first divided by the best one (for isotonic curves: IROvA-TS).

    Property: can change the predicted class, and tie classes.
    Reference: Zadrozny and Elkan 2002; Zhang, Kailkhura, Han 2020 (after a temperature).

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5]])
    >>> OneVsRest(Isotonic()).fit(z, [0, 0, 1, 0]).predict_proba(z)[3]
    array([1., 0.])
    """

    def __init__(self, calibrator: BinaryCalibrator = Isotonic(), temperature: bool = False) -> None:  # noqa: B008
        self.calibrator = calibrator
        self.temperature = temperature

    @property
    def keeps_accuracy(self) -> bool:
        """False: each class has a curve of its own."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> Map:
        first, scale = (), 1.0
        if self.temperature:
            scale = 1 / TemperatureScaling().fit(logits, labels).temperature_
            first = (Affine(np.array(scale), np.array(0.0)),)
        sums = row_log_sums(logits, scale)
        curves: list[Curve] = []
        for start in range(0, logits.shape[1], _COLUMNS):
            some = np.multiply(logits[:, start : start + _COLUMNS].T, scale, dtype=np.float64)
            some -= sums
            np.minimum(np.exp(some, out=some), 1.0, out=some)
            curves += [self.calibrator.fit(p, labels == start + j) for j, p in enumerate(some)]
        return (*first, Softmax(), Curves(tuple(curves)), Normalise())


class TopLabel(Recalibrator):
    """Recalibrate the largest probability against whether it is right; the others share the rest as before.

    With `per_class`, each predicted class has a curve of its own, learnt on the rows that predict it (where they are
    fewer than 100, the curve of all rows): top-label calibration, by reduction to binary problems.

    Property: keeps accuracy: the largest stays the largest.
    Reference: Gupta and Ramdas 2022, *Top-label calibration and multiclass-to-binary reductions*, algorithms 1 and 3.

    >>> z = np.array([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
    >>> TopLabel(Isotonic()).fit(z, [0, 0, 1, 0]).predict_proba(z[:1])
    array([[1., 0., 0.]])
    """

    def __init__(self, calibrator: BinaryCalibrator = Histogram(), per_class: bool = False) -> None:  # noqa: B008
        self.calibrator = calibrator
        self.per_class = per_class

    @property
    def keeps_accuracy(self) -> bool:
        """True: the new confidence is at least what keeps the class on top."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> Map:
        score, top = top_scores(logits)
        hits = top == labels
        shared = self.calibrator.fit(score, hits)
        if not self.per_class:
            return (Softmax(), TopCurve((shared,)))
        own = [top == j for j in range(logits.shape[1])]
        fitted = [self.calibrator.fit(score[o], hits[o]) if o.sum() >= self._enough() else shared for o in own]
        return (Softmax(), TopCurve(tuple(fitted)))

    def _enough(self) -> int:
        return max(_ENOUGH, getattr(self.calibrator, "least_rows", 0))
