"""The compiled loops of `native.c`. They are optional: each caller has a path without them, with the same results.

`pip` builds them where there is a C compiler. `LIBRARY` is None where there was none.
"""

import ctypes
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

_SHARE = 1 << 18  # values a thread: fewer are done sooner than they are handed over


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


def serves(x: Tensor) -> bool:
    """Whether the compiled loops can work on this tensor: real memory of this machine, not traced, not a subclass."""
    return (
        LIBRARY is not None
        and x.device.type == "cpu"
        and type(x) in (Tensor, torch.nn.Parameter)
        and not torch.compiler.is_compiling()
    )


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Keep one pool; `process` makes a forked child, which inherits no threads, start its own."""
    return ThreadPoolExecutor(threads)


def focal(logits: Tensor, target: Tensor, steps: np.ndarray, in_place: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the focal loss of each row of logits (n, k), and its gradient in two parts: (n, k) and (n, 1).

    `steps` is the table of `losses.gamma.Steps`. `in_place`: the logits' memory may hold the gradient afterwards.

    Raises:
        IndexError: a target that is no class.
    """
    work, target = logits.to(torch.float32).contiguous(), target.contiguous()
    mass = torch.empty_like(work) if work is logits and not in_place else work
    n, k = work.shape
    value, scale = torch.empty(n), torch.empty(n, 1)
    z, y, out, loss, factor = (x.data_ptr() for x in (work, target, mass, value, scale))
    edges = steps.ctypes.data
    gammas, offsets = edges + steps.strides[0], edges + 2 * steps.strides[0]

    def part(start: int, end: int) -> int:
        at, cell = 4 * start, 4 * start * k
        return start + LIBRARY.surefoot_focal(
            z + cell, y + 2 * at, end - start, k, edges, gammas, offsets, out + cell, loss + at, factor + at
        )

    threads = min(torch.get_num_threads(), n * k // _SHARE)
    if threads <= 1:
        reached = [(part(0, n), n)]
    else:
        cuts = [n * i // threads for i in range(threads + 1)]
        reached = zip(_pool(os.getpid(), torch.get_num_threads()).map(part, cuts, cuts[1:]), cuts[1:], strict=False)
    for row, end in reached:
        if row != end:
            raise IndexError(f"target {row} is class {int(target[row])}, outside 0 to {k - 1}")
    return value, mass, scale


def tally(scores: np.ndarray, correct: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Compute rows, hits and sum of scores of each bin (edge j-1, edge j], and of exactly 0 first: (bins + 1, 3)."""
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
