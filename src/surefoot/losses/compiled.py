"""The compiled loop of `core/native.c` for the focal loss, on tensors and several threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from surefoot.core import native

_SHARE = 1 << 18  # values a thread: fewer are done sooner than they are handed over


def serves(x: Tensor) -> bool:
    """Whether the compiled loops can work on this tensor: real memory of this machine, not traced, not a subclass."""
    return (
        native.LIBRARY is not None
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
        return start + native.LIBRARY.surefoot_focal(
            z + cell, y + 2 * at, end - start, k, edges, gammas, offsets, out + cell, loss + at, factor + at
        )

    threads = min(torch.get_num_threads(), n * k // _SHARE)
    if threads <= 1:
        reached = [(part(0, n), n)]
    else:
        ends = [n * i // threads for i in range(threads + 1)]
        reached = zip(_pool(os.getpid(), torch.get_num_threads()).map(part, ends, ends[1:]), ends[1:], strict=False)
    for row, end in reached:
        if row != end:
            raise IndexError(f"target {row} is class {int(target[row])}, outside 0 to {k - 1}")
    return value, mass, scale
