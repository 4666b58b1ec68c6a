"""Softmax and its complement without losing digits, in NumPy float64."""

import numpy as np
from scipy.special import logsumexp

from surefoot.core import native
from surefoot.core.types import Confidences, Labels, Logits, Probs

_CHUNK_VALUES = 1 << 18  # values at a time: a megabyte or two stays in the cache
_ROUNDED = 1e-300  # a sum below has lost digits, or is 0


def log_softmax(logits: Logits) -> Logits:
    """Compute log p in float64; exact to rounding also where p rounds to 1."""
    return log_probs_and_complements(logits)[0]


def softmax(logits: Logits) -> Probs:
    """Compute probabilities in float64, so that confident rows do not tie at exactly 1 as they do in float32."""
    return softmax_and_rest(logits)[0]


def softmax_and_rest(logits: Logits) -> tuple[Probs, Labels, Confidences, Confidences]:
    """Compute probabilities; and for each row its largest class, log p of it, and log(1 - p), in one pass.

    1 - p is the sum of the others, so it keeps its digits, also where they underflow. Logits may be -inf, but for one a
    row.

    >>> [x.tolist() for x in softmax_and_rest(np.array([[0.0, -2000.0]]))]
    [[[1.0, 0.0]], [0], [-0.0], [-2000.0]]
    """
    n, k = logits.shape
    probs, top = np.empty((n, k)), np.empty(n, dtype=np.intp)
    log_top, log_rest = np.empty(n), np.empty(n)
    step = max(1, _CHUNK_VALUES // k)
    for start in range(0, n, step):
        chunk, part = logits[start : start + step], slice(start, start + step)
        at, rows = chunk.argmax(1), np.arange(len(chunk))
        mass = np.subtract(chunk, chunk[rows, at][:, None], out=probs[part], dtype=np.float64)
        np.exp(mass, out=mass)
        mass[rows, at] = 0
        others = mass.sum(1)
        mass[rows, at] = 1
        mass /= (1 + others)[:, None]
        log_top[part] = -np.log1p(others)
        low = np.flatnonzero(others < _ROUNDED)
        others[low] = 1.0
        log_rest[part] = np.log(others) + log_top[part]
        if len(low):
            log_rest[start + low] = _log_of_others(chunk[low], at[low])
        top[part] = at
    return probs, top, log_top, log_rest


def _log_of_others(logits: Logits, top: Labels) -> Confidences:
    """Compute log sum_{j != top} exp(z_j - z_top) where no term may be within float64's range."""
    rows = np.arange(len(logits))
    shifted = np.subtract(logits, logits[rows, top][:, None], dtype=np.float64)
    shifted[rows, top] = -np.inf
    second = shifted.max(1)
    present = np.where(np.isfinite(second), second, 0.0)
    with np.errstate(divide="ignore"):
        return present + np.log(np.exp(shifted - present[:, None]).sum(1))


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
        log_others = np.log(others)
    small = np.flatnonzero(others < 1e-280)  # they underflow, or lose digits: sum them relative to their largest
    if len(small):
        rest = shifted[small]
        rest[np.arange(len(small)), top[small]] = -np.inf
        log_others[small] = logsumexp(rest, axis=1)
    # all that tie with the largest by the one formula: they stay tied
    log_u = np.where(shifted == 0, (log_others - log_total)[:, None], log_u)
    return log_p, log_u


def top_scores(logits: Logits, scale: float = 1.0) -> tuple[Confidences, Labels]:
    """Compute the largest probability of softmax(scale z), and its class, row by row without a copy of the table.

    1 / (1 + sum of the others): the sum keeps its digits where the probability is near 1.

    >>> top_scores(np.array([[1.0, 1.0], [0.0, 800.0]], dtype=np.float32))
    (array([0.5, 1. ]), array([0, 1]))
    """
    if native.LIBRARY is not None and logits.dtype == np.float32:
        return native.top(logits, scale)
    n, k = logits.shape
    score, top = np.empty(n), np.empty(n, dtype=np.intp)
    step = max(1, min(n, _CHUNK_VALUES // k))
    buffer = np.empty((step, k), dtype=np.result_type(logits, np.float32))
    ones = np.ones(k, dtype=buffer.dtype)
    for start in range(0, n, step):
        chunk = logits[start : start + step]
        at, rows = chunk.argmax(1), np.arange(len(chunk))
        mass = np.subtract(chunk, chunk[rows, at][:, None], out=buffer[: len(chunk)], dtype=buffer.dtype)
        mass *= buffer.dtype.type(scale)
        np.exp(mass, out=mass)
        mass[rows, at] = 0
        score[start : start + step] = 1 / (1 + (mass @ ones).astype(np.float64))  # BLAS sums rows fastest
        top[start : start + step] = at
    return score, top


def row_log_sums(logits: Logits, scale: float = 1.0) -> Confidences:
    """Compute log sum_j exp(scale z_j) of each row in float64, without a copy of the table."""
    n, k = logits.shape
    sums = np.empty(n)
    step = max(1, _CHUNK_VALUES // k)
    for start in range(0, n, step):
        chunk = np.multiply(logits[start : start + step], scale, dtype=np.float64)
        peak = chunk.max(1)
        chunk -= peak[:, None]
        np.exp(chunk, out=chunk)
        sums[start : start + step] = np.log(chunk.sum(1)) + peak
    return sums
