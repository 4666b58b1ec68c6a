"""`surefoot recalibrate`: the map that it leaves, and what it says of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions
from typed import call


def test_recalibrate_writes_a_map_that_measure_applies(capsys, table, tmp_path):
    code, out, _ = call(
        capsys, "recalibrate", table, "-o", tmp_path / "m.json", "--predictions", tmp_path / "q.parquet", "--json"
    )
    assert code == 0
    assert json.loads(out)["temperature"] == pytest.approx(2.5, rel=0.2)
    by_map = call(capsys, "measure", table, "--split", "test", "--map", tmp_path / "m.json", "--json", "--fast")[1]
    by_file = call(capsys, "measure", tmp_path / "q.parquet", "--split", "test", "--json", "--fast")[1]
    before = json.loads(call(capsys, "measure", table, "--split", "test", "--json", "--fast")[1])
    assert json.loads(by_map)["ece"]["value"] == pytest.approx(json.loads(by_file)["ece"]["value"], abs=1e-9)
    assert json.loads(by_map)["nll"]["value"] < before["nll"]["value"]


def test_recalibrate_says_where_its_rows_tell_little_and_what_it_took_and_wrote(capsys, table, tmp_path):
    p, out = load_predictions(table), tmp_path / "map.json"
    one = np.flatnonzero(p.labels == 2)
    save_predictions(replace(p.rows(one[:60]), split=None), tmp_path / "one.npz")
    said = " ".join(call(capsys, "recalibrate", tmp_path / "one.npz", "-o", out)[1].split())
    assert "Of 3 classes only 2 occurs in the rows learnt on" in said
    save_predictions(replace(p.rows(np.arange(5)), split=None), tmp_path / "five.npz")
    found = json.loads(call(capsys, "recalibrate", tmp_path / "five.npz", "-o", out, "--json")[1])
    assert found["notes"][0].startswith("Learnt on 5 rows: too few to trust")
    arguments = ["recalibrate", table, "-o", out, "--method", "focal-undo", "--predictions", tmp_path / "q.npz"]
    said = call(capsys, *arguments)[1].replace("\n", "")
    assert "gamma 3, by default" in said
    assert "q.npz" in said.split("Written:")[1]
    found = json.loads(call(capsys, *arguments, "--gamma", "2", "--json")[1])
    assert (found["gamma"], found["gamma_by_default"]) == (2, False)
    assert found["written"] == [str(out), str(tmp_path / "q.npz")]


def test_recalibrate_says_what_it_learnt_on_and_whether_classes_change(capsys, table, tmp_path):
    out = tmp_path / "map.json"
    said = call(capsys, "recalibrate", table, "-o", out)[1]
    assert "learnt on 600 rows" in said
    assert "changes the predicted class" not in said
    p = load_predictions(table)
    shifted = p.scores + np.array([2.0, 0, 0], dtype=np.float32)
    save_predictions(Predictions(shifted, "logits", p.labels), tmp_path / "all.parquet")
    said = " ".join(call(capsys, "recalibrate", tmp_path / "all.parquet", "--method", "vector", "-o", out)[1].split())
    assert "learnt on all 1,200 rows (measure it on others)" in said
    found = json.loads(
        call(capsys, "recalibrate", tmp_path / "all.parquet", "--method", "vector", "-o", out, "--json")[1]
    )
    assert found["learnt_on_all"]
    before, after = (f"{100 * found[stage]['accuracy']:.2f}%" for stage in ("before", "after"))
    changes = (
        f"It changes the predicted class of {found['changed_classes']:,} of these rows: accuracy {before} to {after}."
    )
    assert changes in said
