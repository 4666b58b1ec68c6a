"""`surefoot compare`, and the commands that go on from what it trains."""

import json

import numpy as np
import pytest

from surefoot.core.tables import load_predictions
from typed import call


def test_compare_train_predict_from_end_to_end(capsys, tmp_path):
    options = ["--model", "mlp", "--losses", "ce,fl-3", "--seeds", 2, "--epochs", 3, "-o", tmp_path / "cmp"]
    code, out, _ = call(capsys, "compare", *options)
    assert code == 0
    for words in ("before temperature", "after temperature", "noise floor", "fl-3", "AdaECE", "±"):
        assert words in out
    assert "…" not in out  # nothing is cut off
    assert (tmp_path / "cmp" / "report.html").exists()
    assert json.loads((tmp_path / "cmp" / "comparison.json").read_text())["rows"][0]["seeds"] == 2
    again = json.loads(call(capsys, "compare", *options, "--json")[1])
    assert [row["loss"] for row in again["rows"]] == ["ce", "fl-3"]
    code, out, _ = call(capsys, "train", "--model", "mlp", "--epochs", 2, "-o", tmp_path / "run", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["n"] == 450
    mapped = call(capsys, "measure", found["predictions"], "--split", "test", "--map", found["map"], "--json", "--fast")
    assert json.loads(mapped[1])["nll"]["value"] == pytest.approx(found["recalibrated"]["nll"]["value"])
    code, _, _ = call(capsys, "predict", tmp_path / "run" / "model.safetensors", "-o", tmp_path / "again.npz")
    assert code == 0
    trained, again = (load_predictions(tmp_path / f) for f in ("run/predictions.parquet", "again.npz"))
    assert np.array_equal(trained.scores, again.scores)
