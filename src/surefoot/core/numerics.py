"""Softmax and its complement without losing digits, in NumPy float64."""

import numpy as np
from scipy.special import logsumexp

from surefoot.core import native
from surefoot.core.types import Confidences, Labels, Logits, Probs

_CHUNK_VALUES = 1 << 18  # values at a time: a megabyte or two stays in the cache


def log_softmax(logits: Logits) -> Logits:
    """Compute log p in float64; exact to rounding also where p rounds to 1."""
    return log_probs_and_complements(logits)[0]


def softmax(logits: Logits) -> Probs:
    """Compute probabilities in float64, so that confident rows do not tie at exactly 1 as they do in float32."""
    n, k = logits.shape
    probs = np.empty((n, k))
    step = max(1, _CHUNK_VALUES // k)
    for start in range(0, n, step):
        chunk = logits[start : start + step]
        part = np.subtract(chunk, chunk.max(1, keepdims=True), out=probs[start : start + step], dtype=np.float64)
        np.exp(part, out=part)
        part /= part.sum(1, keepdims=True)
    return probs


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
    log_u[rows, top] = log_others - log_total
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
