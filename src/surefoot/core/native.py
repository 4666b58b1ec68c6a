"""The compiled loops of `native.c`. They are optional: each caller has a path without them, with the same results.

Those on arrays are called from here; those on tensors from `losses.compiled`.

`pip` builds them where there is a C compiler. `LIBRARY` is None where there was none.
"""

import ctypes
import importlib.util
from typing import Any

import numpy as np


def _load() -> ctypes.CDLL | None:
    spec = importlib.util.find_spec("surefoot.core._native")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:  # built for another machine
        return None
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    library.surefoot_focal.argtypes = [pointer, pointer, count, count, *[pointer] * 6]
    library.surefoot_focal.restype = count
    library.surefoot_top.argtypes = [pointer, count, count, ctypes.c_float, pointer, pointer]
    for tally in (library.surefoot_tally_f32, library.surefoot_tally_f64):
        tally.argtypes = [pointer, pointer, count, pointer, count, pointer]
    return library


LIBRARY: Any = _load()


def tally(scores: np.ndarray, correct: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Compute rows, correct rows and sum of scores of each bin (edge j-1, edge j], exactly 0 first: (bins + 1, 3)."""
    scores, correct = np.ascontiguousarray(scores), np.ascontiguousarray(correct)
    sums = np.zeros((4, len(edges), 3))
    function = LIBRARY.surefoot_tally_f32 if scores.dtype == np.float32 else LIBRARY.surefoot_tally_f64
    at = [x.ctypes.data for x in (scores, correct, edges, sums)]
    function(at[0], at[1], len(scores), at[2], len(edges) - 1, at[3])
    return sums.sum(0)


def top(logits: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the largest probability of softmax(scale z) of each row of float32 logits (n, k), and its class."""
    work = np.ascontiguousarray(logits)
    n, k = work.shape
    score, at = np.empty(n), np.empty(n, dtype=np.int64)
    LIBRARY.surefoot_top(work.ctypes.data, n, k, scale, score.ctypes.data, at.ctypes.data)
    return score, at
