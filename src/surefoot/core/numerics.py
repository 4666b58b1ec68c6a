"""Softmax and its complement without losing digits, in NumPy float64."""

import numpy as np

from surefoot.core.types import Logits, Probs


def log_softmax(logits: Logits) -> Logits:
    """Compute log p in float64; exact to rounding also where p rounds to 1."""
    return log_probs_and_complements(logits)[0]


def softmax(logits: Logits) -> Probs:
    """Compute probabilities in float64, so that confident rows do not tie at exactly 1 as they do in float32."""
    shifted = np.subtract(logits, logits.max(1, keepdims=True), dtype=np.float64)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(1, keepdims=True)
    return shifted


def log_probs_and_complements(logits: Logits) -> tuple[Logits, Logits]:
    """Compute log p and log(1 - p) for every class, each to a few units of rounding.

    The largest class is the only one where 1 - p can cancel; its complement is the sum of the others.

    >>> log_p, log_u = log_probs_and_complements(np.array([[50.0, 0.0]]))
    >>> bool(abs(log_p[0, 0] + np.exp(-50)) < 1e-30), float(log_u[0, 0])
    (True, -50.0)
    """
    rows = np.arange(len(logits))
    top = logits.argmax(1)
    shifted = np.subtract(logits, logits[rows, top][:, None], dtype=np.float64)
    mass = np.exp(shifted)
    mass[rows, top] = 0.0
    others = mass.sum(1)
    log_total = np.log1p(others)
    log_p = shifted - log_total[:, None]
    with np.errstate(divide="ignore"):
        log_u = np.log1p(-np.exp(np.minimum(log_p, 0.0)))
        # Others that underflow together: the largest of them is the sum, to a factor below k.
        runner_up = np.where(others > 0, np.log(others), np.partition(shifted, -2, axis=1)[:, -2])
    log_u[rows, top] = runner_up - log_total
    return log_p, log_u
