"""`surefoot report`: the page, and what it needs."""

import json
import sys

from typed import call


def test_report_writes_a_page_and_says_what_to_do(capsys, table, tmp_path):
    code, out, _ = call(capsys, "report", table, "-o", tmp_path / "r.html", "--title", "mine")
    assert code == 0
    assert "the model is over-confident" in " ".join(out.split())
    assert (tmp_path / "r.html").stat().st_size > 1e6
    found = json.loads(call(capsys, "report", table, "-o", tmp_path / "r.html", "--json")[1])
    assert found["verdict"] == "over-confident"
    assert found["after"]["readings"]["ece"]["value"] < found["before"]["readings"]["ece"]["value"]


def test_a_missing_extra_is_named(capsys, monkeypatch, table):
    monkeypatch.setitem(sys.modules, "plotly", None)
    for module in ("surefoot.cli.report", "surefoot.report.page", "surefoot.report.figures"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "plotly.io", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    code, _, err = call(capsys, "report", table)
    assert code == 4
    assert "pip install '.[report]'" in err
