"""Work in several processes: one thread each, charged to the thread that waits."""

import torch

from surefoot.core.deadline import SYSTEM, Deadline
from surefoot.core.threads import in_processes


def test_each_process_computes_on_one_thread() -> None:
    assert in_processes(torch.get_num_threads, [()] * 4, Deadline.of(300.0), 2) == [1, 1, 1, 1]


def test_the_work_of_processes_is_charged_by_how_many_there_were() -> None:
    one, begin = range(10_000_000), SYSTEM.work()
    assert sum(one) == 49_999_995_000_000
    alone, begin = SYSTEM.work() - begin, SYSTEM.work()
    assert in_processes(sum, [(one,)] * 4, Deadline.of(300.0), 2) == [49_999_995_000_000] * 4
    assert SYSTEM.work() - begin > alone  # twice, less what a faster core saves


def test_what_a_deadline_ends_is_none_and_one_job_is_done_here() -> None:
    over = Deadline.of(0.0)
    assert in_processes(len, [("a",)] * 2, over, 2) == [None, None]
    assert in_processes(len, [("a",)] * 2, Deadline.of(60.0), 1) == [1, 1]
