"""`surefoot train`: files that fit each other, and a run that goes on instead of beginning again."""

import json
from pathlib import Path

import pytest

from surefoot.core.tables import load_predictions
from surefoot.recalibrate import load_calibrator
from typed import call

TRAIN = ("train", "--model", "linear", "--epochs", "1", "--json")


def test_what_it_prints_is_what_its_files_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, text, _ = call(capsys, *TRAIN, "-o", out, "--method", "vector")
    found = json.loads(text)
    assert code == 0
    table, fitted = load_predictions(found["predictions"]), load_calibrator(found["map"])
    assert table.parts == ("test", "validation")
    test = table.part("test")
    assert (found["n"], found["k"]) == (test.n, test.k)
    for probs, readings in ((test.probs(), found), (fitted.predict_proba(test.logits()), found["recalibrated"])):
        assert readings["accuracy"]["value"] == pytest.approx((probs.argmax(1) == test.labels).mean())
    held_out = table.part("validation")
    again = type(fitted)().fit_table(held_out)  # the calibrator is learnt on rows that are not measured
    assert again.predict_proba(test.logits()) == pytest.approx(fitted.predict_proba(test.logits()), abs=1e-9)
    for name in ("model.safetensors", "run.json", "log/metrics.csv"):
        assert (out / name).is_file()
    assert json.loads(call(capsys, *TRAIN, "-o", out, "--method", "vector")[1]) == found


def test_another_run_does_not_take_the_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call(capsys, *TRAIN, "-o", tmp_path / "run")
    before = (tmp_path / "run" / "predictions.parquet").read_bytes()
    code, _, err = call(capsys, *TRAIN, "-o", tmp_path / "run", "--seed", "1")
    assert code == 3
    assert "holds a run with other settings" in " ".join(err.split())
    assert (tmp_path / "run" / "predictions.parquet").read_bytes() == before


def test_a_wrong_calibrator_is_refused_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = call(capsys, *TRAIN, "-o", tmp_path / "run", "--method", "magic")
    assert code == 2
    assert "there are: auto" in err
    assert not (tmp_path / "run").exists()
