"""`surefoot doctor`, as it is typed."""

import importlib.util
import json

import pytest

from surefoot.cli.doctor import EXTRAS
from typed import surefoot


def test_it_says_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("doctor")
    said = capsys.readouterr().out
    assert "Python 3." in said
    assert all(f"{name}: installed" in said for name in EXTRAS)
    surefoot("doctor", "--json")
    assert set(json.loads(capsys.readouterr().out)["extras"]) == set(EXTRAS)


def test_it_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "plotly" else find(name))
    surefoot("doctor")
    assert "report: missing plotly; would add report, explain, and pages: pip install '.[report]'" in (
        capsys.readouterr().out
    )
