"""The command line as a person meets it: files in, files out, one line for each mistake."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from image_files import write_pictures
from surefoot.cli.main import COMMANDS, run
from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions

JSON_NAMES = ["accuracy", "nll", "brier", "ece", "ada_ece", "classwise_ece", "mce", "ks", "ks_pvalue"]


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        run([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return done.value.code or 0, out, err


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=(1200, 3))
    labels = (softmax(truth).cumsum(1) < rng.random((1200, 1))).sum(1).clip(max=2)
    split = np.where(np.arange(1200) < 600, "validation", "test")
    save_predictions(Predictions((2.5 * truth).astype(np.float32), "logits", labels, split), tmp_path / "p.parquet")
    return tmp_path / "p.parquet"


def test_measure_json_has_the_names_others_rely_on(capsys, table):
    code, out, err = call(capsys, "measure", table, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["n"], found["k"]) == (1200, 3)
    for name in JSON_NAMES:
        assert set(found[name]) == {"value", "low", "high", "floor", "floor_high", "note", "pvalue"}
        assert (found[name]["low"] is None) == (found[name]["note"] is not None) == (name in ("mce", "ks_pvalue"))
    assert found["ece"]["low"] <= found["ece"]["value"] <= found["ece"]["high"]
    assert found["ece"]["floor"] < found["ece"]["value"]


def test_every_format_measures_the_same(capsys, table, tmp_path):
    p = load_predictions(table)
    np.savez(tmp_path / "p.npz", logits=p.scores, labels=p.labels)
    np.savez(tmp_path / "q.npz", probs=p.probs(), labels=p.labels)
    np.save(tmp_path / "z.npy", p.scores)
    np.save(tmp_path / "y.npy", p.labels)
    (tmp_path / "folder").mkdir()
    for i in range(3):
        rows = slice(400 * i, 400 * i + 400)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(p.scores[rows].ravel()), 3)
        pq.write_table(pa.table({"logits": flat, "label": p.labels[rows]}), tmp_path / "folder" / f"{i}.parquet")
    header = "logit_0,logit_1,logit_2,label\n"
    lines = [",".join(map(repr, map(float, row))) + f",{y}\n" for row, y in zip(p.scores, p.labels, strict=True)]
    (tmp_path / "p.csv").write_text(header + "".join(lines))
    expected = json.loads(call(capsys, "measure", table, "--json", "--fast")[1])
    for name in ("p.npz", "q.npz", "folder", "p.csv"):
        found = json.loads(call(capsys, "measure", tmp_path / name, "--json", "--fast")[1])
        for metric in JSON_NAMES:
            assert found[metric]["value"] == pytest.approx(expected[metric]["value"], abs=1e-9), (name, metric)
    arguments = [tmp_path / "z.npy", "--labels", tmp_path / "y.npy", "--scores", "logits", "--json", "--fast"]
    assert json.loads(call(capsys, "measure", *arguments)[1])["ece"]["value"] == pytest.approx(expected["ece"]["value"])


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


def test_report_writes_a_page_and_says_what_to_do(capsys, table, tmp_path):
    code, out, _ = call(capsys, "report", table, "-o", tmp_path / "r.html", "--title", "mine")
    assert code == 0
    assert "the model is over-confident" in " ".join(out.split())
    assert (tmp_path / "r.html").stat().st_size > 1e6
    found = json.loads(call(capsys, "report", table, "-o", tmp_path / "r.html", "--json")[1])
    assert found["verdict"] == "over-confident"
    assert found["after"]["readings"]["ece"]["value"] < found["before"]["readings"]["ece"]["value"]


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


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["measure", "none.npz"], 3, "no such file"),
        (["measure", "{bad}"], 3, "damaged"),
        (["measure", "{nan}"], 2, "row 1 holds nan"),
        (["measure", "{as_probs}"], 2, "row 0 is not a distribution .*look like logits"),
        (["measure", "{as_logits}"], 2, "these are probabilities"),
        (["measure", "{mismatch}"], 2, "3 rows of scores but 2 labels"),
        (["measure", "{range}"], 2, "row 2 is 7, outside 0 to 1"),
        (["measure", "{empty}"], 2, "no rows"),
        (["measure", "{one}"], 2, "at least two classes"),
        (["measure", "{good}", "--split", "test"], 2, "no row belongs to the part 'test'"),
        (["measure", "{good}", "--map", "none.json"], 3, "cannot read none.json"),
        (["recalibrate", "{good}", "--method", "magic"], 2, "there are: auto, none, temperature"),
        (["recalibrate", "{good}", "--gamma", "2"], 2, "focal-undo"),
        (["recalibrate", "{good}", "--predictions", "out.txt"], 2, "written as .parquet or .npz"),
        (["report", "{good}", "--method", "magic"], 2, "there are: auto, none, temperature"),
        (["report", "{nan}", "-o", "r.html"], 2, "row 1 holds nan"),
        (["compare", "--losses", "ce,hinge"], 2, "no loss is called 'hinge'"),
        (["compare", "--losses", ","], 2, "names no loss"),
        (["compare", "--data", "imagenet"], 2, "there are: digits"),
        (["train", "--model", "vgg"], 2, "no model is called"),
        (["train", "--data", "none.npz"], 3, "cannot read none.npz"),
        (["train", "--data", "cifar10", "--folder", "none"], 3, "there is no such folder"),
        (["train", "--data", "digits", "--folder", "in"], 2, "a folder is for the files of a published set"),
        (["train", "--model", "pooling-cnn"], 2, "this network is for texts"),
        (["compare", "--train-rows", "3"], 2, "3 of them cannot be chosen from every class"),
        (["compare", "--model", "mlp", "--cluster", "tcp://127.0.0.1:9"], 2, "no Dask scheduler answers"),
        (["reproduce", "mce"], 2, "no table is called 'mce'; there are: ece"),
        (["explain", "in"], 3, "name the folder that `surefoot train` left"),
        (["predict", "none.pt"], 3, "no such file"),
    ],
)
def test_each_mistake_is_one_line_a_code_and_no_file(capsys, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    inputs = tmp_path / "in"
    inputs.mkdir()
    z, y = np.array([[1.0, 0.5], [0.2, 3.0], [2.0, -1.0]]), np.array([0, 1, 1])
    files = {
        "good": {"logits": z, "labels": y},
        "nan": {"logits": np.array([[1.0, 0.5], [np.nan, 3.0], [2.0, -1.0]]), "labels": y},
        "as_probs": {"probs": z, "labels": y},
        "as_logits": {"logits": softmax(z), "labels": y},
        "mismatch": {"logits": z, "labels": y[:2]},
        "range": {"logits": z, "labels": np.array([0, 1, 7])},
        "empty": {"logits": z[:0], "labels": y[:0]},
        "one": {"logits": z[:, :1], "labels": y * 0},
    }
    for name, arrays in files.items():
        np.savez(inputs / f"{name}.npz", allow_pickle=False, **arrays)
    (inputs / "bad.npz").write_bytes((inputs / "good.npz").read_bytes()[:-40])
    places = {name: str(inputs / f"{name}.npz") for name in [*files, "bad"]}
    got, out, err = call(capsys, *(a.format(**places) for a in arguments))
    assert got == code
    assert out == ""
    assert err.startswith("surefoot: ")
    assert err.count("\n") == 1
    assert re.search(said, err)
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.parent != inputs]
    assert left == [] or arguments[0] in ("compare", "train")  # a run's folder may hold its own record


def test_help_of_every_command_teaches(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert name in out
        code, help_text, _ = call(capsys, name, "--help")
        assert code == 0
        assert "Example" in help_text
    assert call(capsys, "--version")[1].startswith("surefoot ")
    assert call(capsys, "mesure")[0] == 2


def test_a_missing_extra_is_named(capsys, monkeypatch, table):
    monkeypatch.setitem(sys.modules, "plotly", None)
    for module in ("surefoot.cli.report", "surefoot.report.page", "surefoot.report.figures"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "plotly.io", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    code, _, err = call(capsys, "report", table)
    assert code == 4
    assert "pip install '.[report]'" in err


def test_reproduce_prints_a_table_beside_the_papers(tmp_path, capsys):
    options = ["--data", "digits", "--model", "mlp", "--losses", "ce,flsd-53", "--seeds", "2", "--recipe", "quick"]
    options += ["--epochs", "2", "-o", str(tmp_path)]
    found = json.loads(call(capsys, "reproduce", "ece", *options, "--json")[1])
    assert [row["verdict"] for row in found["rows"]["ece"]] == ["no published number"] * 4
    assert len(found["claims"]) == 2
    assert json.loads((tmp_path / "ece.json").read_text()) == found
    printed = call(capsys, "reproduce", "error", *options)[1]  # the same runs, another table
    assert "flsd-53" in printed
    code, _, err = call(capsys, "reproduce", "mce", *options)
    assert (code, "no table is called 'mce'" in err) == (2, True)


def test_explain_says_what_a_training_did(tmp_path, capsys):
    call(capsys, "train", "--model", "mlp", "--epochs", "3", "-o", str(tmp_path))
    said = call(capsys, "explain", str(tmp_path))[1]
    assert "verfitting of NLL" in said
    assert (tmp_path / "training.html").exists()
    found = json.loads(call(capsys, "explain", str(tmp_path), "--json")[1])
    assert len(found["log"]["val_nll"]) == 3
    code, _, err = call(capsys, "explain", tmp_path / "none")
    assert (code, err.count("\n")) == (3, 1)


def test_reproduce_measures_strange_inputs(tmp_path, capsys):
    write_pictures(tmp_path / "mine")
    options = ["--data", tmp_path / "mine", "--model", "mlp", "--losses", "ce", "--seeds", "1", "--recipe", "quick"]
    code, out, _ = call(capsys, "reproduce", "ood-auroc", *options, "--epochs", "1", "-o", tmp_path / "runs", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert len(rows) == 15  # five severities of noise, three scores
    assert all(0 <= row["mean"] <= 100 for part in rows.values() for row in part)
    assert json.loads((tmp_path / "runs" / "ood-auroc.json").read_text())["rows"] == rows


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
