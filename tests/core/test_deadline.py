"""Limits of time: the wall's end is never passed, shares are of work, and nothing is left half done."""

import gc
import pickle
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch

from surefoot.core.deadline import (
    NEVER,
    SYSTEM,
    Clock,
    Deadline,
    TimeIsUp,
    charge,
    seconds_left,
    tick,
    uninterrupted,
    work_left,
)


class Hands:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.wall = self.work = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.work)


def test_shares_are_of_work_and_the_end_is_the_walls() -> None:
    hands = Hands()
    whole = Deadline.of(10.0, hands.clock)
    share = whole.share(0.25)
    hands.wall = 9.0  # others had the processor
    assert not share.is_over()
    assert share.work_left == 2.5
    hands.work = 2.5
    assert share.is_over()
    assert not share.is_late()
    assert not whole.is_over()
    assert whole.share(0.5).work_left == 3.75  # of what is left
    hands.wall = 10.0
    assert whole.is_late()
    assert whole.left == 0


def test_a_part_before_the_end_leaves_time_for_what_comes_after() -> None:
    hands = Hands()
    whole = Deadline.of(10.0, hands.clock)
    hands.wall, hands.work = 2.0, 1.0
    part = whole.before(0.5)
    assert (part.end, part.work) == (6.0, 5.5)
    assert whole.at_most(3.0).work == 4.0
    assert whole.at_most(30.0).work == 10.0
    assert not NEVER.before(0.5).is_over()


def test_loops_are_ended_by_the_clock_and_what_is_around_goes_on() -> None:
    hands = Hands()
    whole, turns = Deadline.of(10.0, hands.clock), 0

    def loop() -> None:
        nonlocal turns
        while True:
            tick()
            turns += 1
            hands.work += 1.0

    def both() -> str:
        assert whole.share(0.3).run(loop) is None
        assert turns == 3
        tick()
        return "after"

    assert whole.run(both) == "after"
    tick()  # nothing runs any more


def test_the_end_of_what_is_around_ends_what_is_inside_too() -> None:
    hands = Hands()
    outer, inner, met = Deadline.of(1.0, hands.clock), Deadline.of(5.0, hands.clock), []

    def loop() -> None:
        while True:
            tick()
            hands.wall += 0.5

    def both() -> None:
        inner.run(loop)
        met.append("never")

    assert outer.run(both) is None
    assert not met
    assert not inner.is_over()


def test_nobody_who_catches_exceptions_takes_it_for_one_of_theirs() -> None:
    hands = Hands()
    deadline = Deadline.of(1.0, hands.clock)

    def swallow() -> str:
        hands.wall = 2.0
        try:
            tick()
        except Exception:
            return "swallowed"
        return "went on"

    assert deadline.run(swallow) is None
    assert not issubclass(TimeIsUp, Exception)


def test_errors_pass_and_what_runs_is_forgotten() -> None:
    with pytest.raises(ZeroDivisionError):
        Deadline.of(5.0).run(lambda: 1 / 0)
    assert seconds_left(3.0) == 3.0
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_work_left_is_the_least_of_what_runs() -> None:
    hands = Hands()
    outer, inner = Deadline.of(10.0, hands.clock), Deadline(8.0, 3.0, hands.clock)
    assert work_left() == float("inf")
    assert outer.run(work_left) == 10.0
    assert outer.run(lambda: inner.run(work_left)) == 3.0
    hands.wall, hands.work = 6.0, 2.0
    assert outer.run(lambda: inner.run(work_left)) == 1.0
    assert outer.run(work_left) == 4.0


def test_what_contexts_changed_is_put_back() -> None:
    hands = Hands()
    deadline = Deadline.of(1.0, hands.clock)

    def changed() -> None:
        torch.set_grad_enabled(False)
        np.seterr(all="raise")
        hands.wall = 2.0
        tick()

    before = np.geterr()
    assert deadline.run(changed) is None
    assert torch.is_grad_enabled()
    assert np.geterr() == before


def endless(ready: Callable[[], object]) -> Callable[[], None]:
    def spin() -> None:  # no tick: only the timer ends it
        while True:
            ready()

    return spin


def test_the_timer_ends_what_does_not_look_at_the_clock() -> None:
    assert Deadline.of(0.05).run(endless(lambda: None)) is None
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_timer_of_somebody_else_is_left_alone() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert Deadline.of(30.0).run(lambda: time.sleep(0.1)) is None
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_other_threads_end_by_looking_at_the_clock() -> None:
    found: list[object] = []

    def work() -> None:
        found.append(Deadline.of(0.02).run(endless(tick)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]


def test_nothing_that_must_be_whole_is_interrupted() -> None:
    written: list[str] = []

    def write() -> None:
        with uninterrupted():
            begin = time.monotonic()
            while time.monotonic() < begin + 0.1:
                pass
            written.append("whole")
        endless(lambda: None)()

    assert Deadline.of(0.02).run(write) is None
    assert written == ["whole"]


def test_waiting_is_no_work_and_that_of_other_processes_is() -> None:
    begin = SYSTEM.work()
    time.sleep(0.1)
    assert SYSTEM.work() - begin < 0.05
    charge(3.0)
    assert SYSTEM.work() - begin > 2.9


def test_another_process_is_given_what_is_left() -> None:
    sent = Deadline.of(100.0).share(0.25)
    received = pickle.loads(pickle.dumps(sent))
    assert received.end == sent.end
    assert abs(received.work_left - sent.work_left) < 1.0


def spun(seconds: float) -> int:
    """Take so many seconds in Python, where a signal is seen at once."""
    end = time.monotonic() + seconds
    turns = 0
    while time.monotonic() < end:
        turns += 1
    return turns


class _Slow:
    def __del__(self) -> None:
        spun(0.05)


def in_a_destructor() -> None:
    _Slow()


def in_the_collector() -> None:
    def slow(*_: object) -> None:
        spun(0.05)

    gc.callbacks.append(slow)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(slow)


def in_a_weak_reference() -> None:
    held = _Slow.__new__(_Slow)
    weakref.finalize(held, spun, 0.05)
    del held


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", [in_a_destructor, in_the_collector, in_a_weak_reference])
def test_nothing_is_raised_where_python_would_lose_it(call: Callable[[], None]) -> None:
    gc.collect()  # what other tests left: generators that are closed by the collector raise nowhere either
    lost = []
    before, sys.unraisablehook = sys.unraisablehook, lambda unraisable: lost.append(unraisable.exc_value)
    try:
        begin, done = time.monotonic(), []

        def both() -> None:
            call()
            done.append(True)
            spun(30.0)

        assert Deadline.of(0.01).run(both) is None
    finally:
        sys.unraisablehook = before
    assert not lost
    assert done
    assert time.monotonic() - begin < 10.0
