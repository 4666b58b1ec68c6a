"""Limits of time: a moment of the wall clock that ends everything, and shares of work that end its stages.

A share is measured in work, not by the wall clock: what one stage of a search gets must not depend on what else the
machine does. Work is the processor time of the thread that searches, and what its worker processes did while it waited.
That of the whole process would count the threads of a matrix product twice, so that a share was smaller on more cores.

`Deadline.run` calls something and ends it when its time is up. Loops say `tick()`; where signals can be used, a timer
ends what does not. Both raise `TimeIsUp`, which `run` catches: nobody else does.
"""

import gc
import math
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")
AGAIN = 1.0  # the timer rings again after so many seconds: Python loses what is raised where it calls us by itself
SOON = 0.02  # and after so many where it may not interrupt
LONGEST = 1e8  # seconds that the timer is set for; then it is set again
FRESH = 0.005  # of a second, for which a reading of the processor's clock is good


class TimeIsUp(BaseException):
    """Ends what `Deadline.run` called. No `Exception`: nobody who catches those may take it for one of theirs."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.running: list[Deadline] = []
        self.charged = 0.0
        self.shields = 0
        self.read = (-math.inf, 0.0)  # when the processor's clock was read last, and what it said


_local = _Local()


def charge(seconds: float) -> None:
    """Count work that other processes did while this thread waited for them."""
    _local.charged += seconds


def work_done() -> float:
    """Return for how many seconds this thread has computed, and has been charged with; to `FRESH` seconds."""
    now = time.monotonic()
    if now - _local.read[0] > FRESH:  # a call of the system, dear on a busy machine
        _local.read = now, time.thread_time()
    return _local.read[1] + _local.charged


@dataclass(frozen=True)
class Clock:
    """Where a deadline reads the time: seconds of the wall, which never stand still, and of work."""

    wall: Callable[[], float] = time.monotonic
    work: Callable[[], float] = work_done


SYSTEM = Clock()


@dataclass(frozen=True)
class Deadline:
    """Until when something may run: `end` by the wall clock, and `work` by the clock of work; infinite: no limit.

    Another process that is given one reads it as what is left: all of the wall's, and the same amount of work.
    """

    end: float = math.inf
    work: float = math.inf
    clock: Clock = field(default=SYSTEM, repr=False)

    @staticmethod
    def of(limit: "float | Deadline", clock: Clock = SYSTEM) -> "Deadline":
        """Return a deadline so many seconds from now; one that is given is kept."""
        if isinstance(limit, Deadline):
            return limit
        return Deadline(clock.wall() + limit, clock.work() + limit, clock)

    @property
    def left(self) -> float:
        """Seconds of the wall that are left, at least 0."""
        return max(self.end - self.clock.wall(), 0.0)

    @property
    def work_left(self) -> float:
        """Seconds of work that are left, at least 0."""
        return max(self.work - self.clock.work(), 0.0)

    def is_over(self) -> bool:
        """Whether either is used up."""
        return self.clock.wall() >= self.end or self.clock.work() >= self.work

    def is_late(self) -> bool:
        """Whether the wall's time is up."""
        return self.clock.wall() >= self.end

    def share(self, part: float) -> "Deadline":
        """Give a part of the work that is left; the end stays."""
        return Deadline(self.end, self.clock.work() + part * self.work_left, self.clock)

    def at_most(self, seconds: float) -> "Deadline":
        """Give at most so many seconds of work; the end stays."""
        return Deadline(self.end, min(self.work, self.clock.work() + seconds), self.clock)

    def before(self, part: float) -> "Deadline":
        """End after this part of what is left of both, so that time remains for what must come afterwards."""
        if math.isinf(self.end):
            return self.share(part)
        return Deadline(self.clock.wall() + part * self.left, self.clock.work() + part * self.work_left, self.clock)

    def run(self, call: Callable[[], T]) -> T | None:
        """Call, and return what it gives, or None if time was up before; what it left by then is the caller's to know.

        A deadline around this one that is over too ends what comes next.
        """
        depth, grad, errors = len(_local.running), torch.is_grad_enabled(), np.geterr()
        try:
            try:
                _local.running.append(self)
                _wind()
                tick()
                return call()
            finally:
                _leave(depth)
        except TimeIsUp:
            _leave(depth)  # the timer may ring while the stack is left
            torch.set_grad_enabled(grad)  # and while a context is
            np.seterr(**errors)
            if not self.is_over():
                raise
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        """Give another process what is left."""
        return _received, (self.end, self.work_left)


NEVER = Deadline()


def _received(end: float, work_left: float) -> Deadline:
    return Deadline(end, SYSTEM.work() + work_left)


def tick() -> None:
    """Raise `TimeIsUp` where a deadline that runs is over; loops whose turns take long say it in each.

    Raises:
        TimeIsUp: it is.
    """
    for deadline in _local.running:
        if deadline.is_over():
            raise TimeIsUp


def seconds_left(most: float) -> float:
    """Return how many seconds of the wall are left to what runs, at most so many, for solvers that keep time."""
    return min([most, *(deadline.left for deadline in _local.running)])


def work_left() -> float:
    """Return how many seconds of work are left to what runs; infinite if there is no limit."""
    return min((min(deadline.left, deadline.work_left) for deadline in _local.running), default=math.inf)


def _leave(depth: int) -> None:
    del _local.running[depth:]
    _wind()


# The timer: one a process, of its main thread


class _Bell:
    def __init__(self) -> None:
        self.before: Any = None  # what handled the signal before
        self.wound = False


_bell = _Bell()


def _wind() -> None:
    """Let the timer ring at the earliest end of what runs; put it away when nothing does."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return
    ends = [d.end - time.monotonic() for d in _local.running if d.clock is SYSTEM and math.isfinite(d.end)]
    if ends:
        if not _bell.wound:
            if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
                return  # somebody else's
            _bell.before = signal.signal(signal.SIGALRM, _ring)
            _bell.wound = True
        signal.setitimer(signal.ITIMER_REAL, min(max(min(ends), 1e-6), LONGEST))
    elif _bell.wound:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, _bell.before)
        _bell.wound = False


def _ring(_: int, frame: FrameType | None) -> None:
    if not _local.running:
        return
    if _local.shields or _is_unfit(frame):
        signal.setitimer(signal.ITIMER_REAL, SOON)
        return
    signal.setitimer(signal.ITIMER_REAL, AGAIN)
    if any(deadline.clock is SYSTEM and deadline.is_late() for deadline in _local.running):
        raise TimeIsUp
    _wind()


def _is_unfit(frame: FrameType | None) -> bool:
    """Whether nothing may be raised here.

    A module that is left in the middle of its import cannot be read again; and what is raised in a destructor, or in
    what the garbage collector or a weak reference calls, goes nowhere: Python warns and goes on.
    """
    callbacks = {_code_of(call) for call in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__" or code in callbacks:
            return True
        if code.co_name in ("remove", "_remove", "__call__") and frame.f_globals.get("__name__") in _WEAK:
            return True
        frame = frame.f_back
    return False


_WEAK = (weakref.__name__, weakref.WeakSet.__module__)


def _code_of(call: Callable[..., object]) -> CodeType | None:
    """Return the code that runs first when something is called, if it is Python's."""
    call = getattr(call, "func", call)  # of a partial
    for way in (call, type(call).__call__):
        code = getattr(getattr(way, "__func__", way), "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep the timer from interrupting what must be done whole, such as writing a file; it must not take long."""
    _local.shields += 1
    try:
        yield
    finally:
        _local.shields -= 1
