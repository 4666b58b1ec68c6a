"""Processes that compute: one thread in each of several, and freed memory is kept."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from surefoot.core.allocation import keep_freed_memory
from surefoot.core.deadline import Deadline, charge

T = TypeVar("T")


def one_thread() -> None:
    """Let this process, one of several that compute, use one thread, and keep the memory that it frees."""
    import torch  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    torch.set_num_threads(1)
    threadpool_limits(1)
    keep_freed_memory()


def in_processes(
    call: Callable[..., T], tasks: Sequence[tuple[Any, ...]], until: Deadline, jobs: int
) -> list[T | None]:
    """Do tasks in so many processes, here for one; None for each that the deadline ended.

    Each process computes on one thread. What they worked is charged to the thread that waits, divided by how many did.
    """
    if jobs == 1 or len(tasks) < 2:
        return [call(*task) for task in tasks]
    from joblib import Parallel, delayed  # noqa: PLC0415  (not for one process)

    processes = min(jobs, len(tasks))
    timed: Any = Parallel(n_jobs=processes)(delayed(_measured)(call, task, until) for task in tasks)
    charge(sum(spent for _, spent in timed) / processes)
    return [answer for answer, _ in timed]


def _measured(call: Callable[..., T], task: tuple[Any, ...], until: Deadline) -> tuple[T | None, float]:
    one_thread()
    begin = time.thread_time()
    return until.run(lambda: call(*task)), time.thread_time() - begin
