"""Logarithms of what a calibrator gives, where its last steps know them: a probability that underflows is not lost."""

from typing import cast

import numpy as np
from scipy.special import logsumexp

from surefoot.core.numerics import log_softmax
from surefoot.core.scored import Scored
from surefoot.core.types import Logits
from surefoot.recalibrate.steps import Mix, Normalise, Reweigh, Softmax, Step, apply


def scored_by(steps: tuple[Step, ...], logits: Logits, floor: float | None = None) -> Scored:
    """Take logits (n, k) through steps; keep logarithms where they end in a softmax, or in a mixture of those.

    With a floor -inf is a stored probability of 0, which counts as that.

    Property: probabilities as those of `apply`, to rounding.
    """
    logs = log_scores(steps, logits)
    return Scored.of_probs(apply(steps, logits), floor) if logs is None else Scored.of_logits(logs, floor)


def log_scores(steps: tuple[Step, ...], logits: Logits) -> Logits | None:
    """Compute logarithms of scores proportional to a calibrator's probabilities; None where its last step loses them.

    >>> log_scores((Softmax(),), np.array([[0.0, -2000.0]]))
    array([[    0., -2000.]])
    """
    first, last = steps[:-1], steps[-1]
    match last:
        case Softmax():
            return apply(first, logits)
        case Normalise() if first:
            return log_scores(first, logits)
        case Reweigh() if first and (last.factors > 0).all():
            logs = log_scores(first, logits)
            return None if logs is None else logs + np.log(last.factors)
        case Mix():
            return _log_mixture(last, apply(first, logits))
        case _:
            return None


def _log_mixture(mix: Mix, rows: Logits) -> Logits | None:
    parts = [log_scores(part, rows) for part in mix.parts]
    if any(part is None for part in parts):
        return None
    left = max(1.0 - float(mix.weights.sum()), 0.0)
    with np.errstate(divide="ignore"):
        weights = np.log(np.r_[mix.weights, left / rows.shape[1]])
    logs = [log_softmax(cast(Logits, part)) for part in parts] + [np.zeros(rows.shape)]
    return cast(Logits, logsumexp(np.stack(logs) + weights[:, None, None], axis=0))
