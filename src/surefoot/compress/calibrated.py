"""What a difference of logits can do to calibrated confidences, after any calibrator that has bounds."""

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError
from surefoot.core.rounding import ELEMENTARY, formula_error, softmax_change, sum_error
from surefoot.recalibrate import Calibrator
from surefoot.recalibrate.steps import Affine, Softmax, apply
from surefoot.verify.enclose import Differences, enclose


def everywhere(calibrator: Calibrator, bound: Float[np.ndarray, " k"]) -> float | None:
    """Bound the change of any calibrated probability, for every input, where logits change by at most `bound` (k,).

    |W| bound is that of the calibrator's logits, and tanh(eps / 2) that of a softmax. None for calibrators that are
    more than affine: where they jump, the smallest change can matter; `at` bounds them input by input.

    Property: sound.
    """
    match calibrator.steps_:
        case (Affine() as step, Softmax()):
            weight = np.abs(step.weight)
            moved = weight @ bound if weight.ndim == 2 else weight * bound
            return softmax_change(float(moved.max() + sum_error(len(bound), moved.max())))
        case (Softmax(),):
            return softmax_change(float(bound.max()))
        case _:
            return None


def at(
    calibrator: Calibrator, logits: Float[np.ndarray, "n k"], bound: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " n"]:
    """Bound the change of every calibrated probability at each of some logits (n, k), (n,).

    Property: sound, for logits that change by at most `bound` (k,).

    Raises:
        InputError: a calibrator of another number of classes, or one without bounds.
    """
    k = logits.shape[1]
    if calibrator.n_classes_ != k:
        raise InputError(f"the calibrator is of {calibrator.n_classes_} classes; the network has {k}")
    now, steps, weight = apply(calibrator.steps_, logits), calibrator.steps_, np.eye(k)
    size = np.abs(logits)
    if isinstance(steps[0], Affine):  # several weights mix what is known of each logit
        weight = steps[0].weight if steps[0].weight.ndim == 2 else np.eye(k) * steps[0].weight
        size = size @ np.abs(weight).T + np.abs(steps[0].bias)
        logits, steps = steps[0](logits), steps[1:]
    spare = np.abs(weight[:, None] - weight[None]) @ bound
    spare = spare + formula_error(size.max(), k) * (1 - np.eye(k))
    changes = []
    for z, p in zip(logits, now, strict=True):
        box = enclose(steps, Differences(z[:, None] - z[None] + spare))
        changes.append(float(np.maximum(p - box.lower, box.upper - p).max()) + ELEMENTARY)
    return np.array(changes)
