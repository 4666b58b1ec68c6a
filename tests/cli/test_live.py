"""The line about a search comes late, and rarely where it stays; an explanation is told whole."""

import numpy as np
import pytest
import torch

from surefoot.cli import live
from surefoot.cli.live import Heard, explained
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Linear, Relu, Softmax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.network import Network
from surefoot.verify.progress import begin_stage, say


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let time stand still but for what a test adds."""
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    return now


def test_nothing_is_shown_of_what_is_quick(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Heard().shown():
        begin_stage("crown", -1.0)
        clock[0] = 1.9
        begin_stage("relu-splitting", -0.5)
    assert capsys.readouterr().err == ""


def test_lines_that_stay_come_at_doubling_times(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Heard().shown():
        begin_stage("relu-splitting", -2.0)
        for second in range(1, 40):
            clock[0] = float(second)
            say(lambda: -1.0, 100 * second, 5)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"surefoot: {s} s" for s in (2, 4, 8, 16, 32)]
    assert lines[0] == "surefoot: 2 s, relu-splitting: best bound -1, 200 subproblems bounded, 5 open"


def test_on_a_terminal_one_line_is_written_over(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.sys.stderr, "isatty", lambda: True)
    with Heard().shown():
        for second in (1.0, 3.0, 4.0):
            clock[0] = second
            begin_stage("crown", -float("inf"))
    text = capsys.readouterr().err
    assert "\n" not in text
    assert text.startswith("\rsurefoot: 3 s, crown: no bound yet\rsurefoot: 4 s")
    assert text.endswith(" \r")  # wiped at the end


def test_an_explanation_without_neurons_says_why() -> None:
    assert explained({}) == []
    lines = explained({"explanation": {"stages": [{"stage": "pgd", "seconds": 1.0}], "why_none": "no time"}})
    assert lines == ["stages: pgd 1.0 s", "no time", ""]
    assert explained({"explanation": {"stages": [], "why_none": "no time"}})[0] == "stages: none"


def test_where_no_stage_or_no_time_was_needed() -> None:
    """A query that nothing had to be searched for, a threshold behind a softmax, and a limit that is over."""
    builder = GraphBuilder((2,))
    hidden = builder.add(Relu(), builder.add(Linear(torch.eye(3, 2, dtype=torch.float64)), 0))
    plain = Network.of(builder.build(hidden))
    softmax = Network.of(builder.build(builder.add(Softmax(), hidden)))
    heard = Heard()
    with heard.shown(line=False):
        pass
    threshold = Query(InputSet.of([-1, -1], [1, 1]), (Unsafe(np.array([[1.0, 0.0, 0.0]]), np.array([0.2])),))
    assert heard.explanation(plain, threshold, 10.0)["stages"] == []
    assert "neurons" in heard.explanation(plain, threshold, 10.0)
    assert "no time was left" in heard.explanation(plain, threshold, 0.0)["why_none"]
    assert "thresholds of probabilities" in heard.explanation(softmax, threshold, 10.0)["why_none"]
    compared = Query(threshold.inputs, (Unsafe(np.array([[1.0, -1.0, 0.0]]), np.zeros(1)),))
    assert heard.explanation(softmax, compared, 10.0)["bound"] == heard.explanation(plain, compared, 10.0)["bound"]
