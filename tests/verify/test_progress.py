"""Whoever listens hears stages and bounds, and nobody else pays for it."""

import math

from surefoot.verify.progress import Progress, begin_stage, listening, say, unheard


def never() -> float:
    raise AssertionError("a bound was computed for nobody")


def test_a_listener_hears_what_is_said_within_alone() -> None:
    heard: list[Progress] = []
    begin_stage("crown", -math.inf)
    say(never, 1, 1)
    with listening(heard.append):
        say(never, 1, 1)  # no stage has begun
        begin_stage("relu-splitting", -2.0)
        say(lambda: -1.0, 10, 3)
        say(lambda: -3.0, 20, 6)  # a bound of before is kept
    say(never, 30, 9)
    assert heard == [
        Progress("relu-splitting", -2.0),
        Progress("relu-splitting", -1.0, 10, 3),
        Progress("relu-splitting", -1.0, 20, 6),
    ]


def test_who_listens_outside_hears_what_is_said_inside() -> None:
    outer: list[float] = []
    inner: list[float] = []
    with listening(lambda p: outer.append(p.bound)):
        begin_stage("crown", -2.0)
        with listening(lambda p: inner.append(p.bound)):
            say(lambda: -1.0, 10, 3)
        begin_stage("exact", -1.0)
    assert (outer, inner) == ([-2.0, -1.0, -1.0], [-1.0])


def test_what_is_said_of_a_part_is_not_heard() -> None:
    heard: list[float] = []
    with listening(lambda p: heard.append(p.bound)):
        begin_stage("input-splitting", -2.0)
        with unheard():
            say(never, 10, 3)
        say(lambda: -1.0, 20, 6)
    assert heard == [-2.0, -1.0]
