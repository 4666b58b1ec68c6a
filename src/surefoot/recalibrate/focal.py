"""The undo calibrator: what focal training does to confidence in the population, inverted in closed form."""

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.types import Labels, Logits
from surefoot.recalibrate import steps
from surefoot.recalibrate.base import Calibrator, Steps
from surefoot.recalibrate.temperature import TemperatureScaling


def undo(gamma: float | tuple[float, ...], thresholds: tuple[float, ...] = ()) -> steps.InverseFocal:
    """Return the step log v - log g(v, gamma), v = softmax(z): logits of the distribution that focal training saw.

    g(v, gamma) = (1 - v)^gamma (1 + gamma r), r = -v log v / (1 - v): the slope of focal loss over cross entropy's.

    Raises:
        InputError: gammas or thresholds that make no sense.
    """
    gammas = gamma if isinstance(gamma, tuple | list) else (gamma,)
    valid = all(isinstance(g, int | float) and np.isfinite(g) and g >= 0 for g in gammas)
    if not valid or len(gammas) != len(thresholds) + 1 or not all(0 < t < 1 for t in thresholds):
        raise InputError(
            f"gamma must be a finite number of at least 0, or one more of them than thresholds between 0 and 1; "
            f"got gamma={gamma!r}, thresholds={thresholds!r}"
        )
    return steps.InverseFocal(np.array(gammas, dtype=np.float64), np.array(thresholds, dtype=np.float64))


class InverseFocal(Calibrator):
    """Invert the bias of focal training: p proportional to v / g(v, gamma), v = softmax(z).

    Focal loss is minimised not by the true probabilities but by flatter ones, known in closed form. Nothing is learnt:
    `fit` only notes the number of classes. For networks trained with fixed gamma; for FLSD-53 give
    `gamma=(5.0, 3.0), thresholds=(0.2,)`.

    Property: exact in the population (and keeps accuracy) for one gamma; a network that overfits is over-confident on
    top of the bias, so follow it by a temperature (`InverseFocalTemperature`).
    Reference: Charoenphakdee et al. 2021, *On Focal Loss for Class-Posterior Probability Estimation*, theorem 11.

    >>> InverseFocal(3.0).fit([[0.6, 0.0]], [0]).predict_proba([[0.6, 0.0]]).round(3)
    array([[0.898, 0.102]])
    """

    _learns = False

    def __init__(self, gamma: float | tuple[float, ...] = 3.0, thresholds: tuple[float, ...] = ()) -> None:
        self.gamma = gamma
        self.thresholds = thresholds

    @property
    def keeps_accuracy(self) -> bool:
        """True for one gamma; where gamma jumps, so does the calibrator."""
        return not self.thresholds

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        return (undo(self.gamma, self.thresholds), steps.Softmax())


class InverseFocalTemperature(Calibrator):
    """Undo focal's bias, then scale by the temperature of least NLL: p = softmax(log(v / g(v)) / T).

    Property: keeps accuracy for one gamma.
    Reference: Charoenphakdee et al. 2021; Komisarenko and Kull 2024.

    >>> z = np.array([[0.6, 0.0], [0.4, 0.0], [0.0, 0.9]])
    >>> InverseFocalTemperature(2.0).fit(z, [0, 1, 1]).temperature_ > 0
    True
    """

    temperature_: float

    def __init__(self, gamma: float | tuple[float, ...] = 3.0, thresholds: tuple[float, ...] = ()) -> None:
        self.gamma = gamma
        self.thresholds = thresholds

    @property
    def keeps_accuracy(self) -> bool:
        """True for one gamma; where gamma jumps, so does the calibrator."""
        return not self.thresholds

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        first = undo(self.gamma, self.thresholds)
        self.temperature_ = TemperatureScaling().fit(first(logits), labels).temperature_
        return (first, *steps.scaling(self.temperature_))
