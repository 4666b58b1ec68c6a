"""What a search is doing: its stages, and the best bound so far. Whoever wants to show it listens."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Progress:
    """One moment of a search.

    Attributes:
        stage: what is tried, in the words of the catalogue of methods.
        bound: the best lower bound of the whole query so far; minus infinity if there is none.
        subproblems: how many of branch and bound were bounded in this stage.
        open: how many of them are left.
    """

    stage: str
    bound: float = -math.inf
    subproblems: int = 0
    open: int = 0


Listener: TypeAlias = Callable[[Progress], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_stage: ContextVar[Progress | None] = ContextVar("stage", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let a listener hear of every search within, in this process; who listens already hears it too."""
    before = _listener.get()

    def both(progress: Progress) -> None:
        listener(progress)
        if before is not None:
            before(progress)

    tokens = _listener.set(listener if before is None else both), _stage.set(_stage.get())
    try:
        yield
    finally:
        _listener.reset(tokens[0])
        _stage.reset(tokens[1])


@contextmanager
def unheard() -> Iterator[None]:
    """Let nobody hear of searches within: what they bound is a part of what is listened to."""
    token = _listener.set(None)
    try:
        yield
    finally:
        _listener.reset(token)


def begin_stage(stage: str, bound: float) -> None:
    """Say what is tried next, and what is known by now."""
    _tell(Progress(stage, bound))


def say(bound: Callable[[], float], subproblems: int, open_: int) -> None:
    """Say how branch and bound gets on; `bound` is computed only if somebody listens."""
    now = _stage.get()
    if _listener.get() is not None and now is not None:
        _tell(Progress(now.stage, max(now.bound, bound()), subproblems, open_))


def _tell(progress: Progress) -> None:
    listener = _listener.get()
    if listener is not None:
        _stage.set(progress)
        listener(progress)
