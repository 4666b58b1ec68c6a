"""`surefoot contrast`, on one table and on several."""

import json

import numpy as np
import pytest

from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions
from typed import call


def write(path, scale=2.5, n=800):
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=(n, 3))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    save_predictions(Predictions((scale * truth).astype(np.float32), "logits", labels), path)
    return path


def test_maps_of_one_table(capsys, tmp_path):
    table = write(tmp_path / "t.parquet")
    code, out, err = call(capsys, "contrast", table, "--methods", "none,temperature", "--metrics", "nll,ece", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [(c["metric"], c["better"]) for c in found] == [("nll", "temperature"), ("ece", "temperature")]
    code, out, _ = call(capsys, "contrast", table, "--methods", "none,temperature")
    assert code == 0
    assert "Holm" in out
    assert "each pair alone" not in out


def test_of_several_pairs_both_p_values_are_shown_and_no_name_is_broken(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    methods = ["none", "temperature", "vector"]
    out = call(capsys, "contrast", write(tmp_path / "t.parquet"), "--methods", ",".join(methods), "--metrics", "nll")[1]
    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if line.startswith("│NLL")]
    assert [row[2:4] for row in rows] == [methods[:2], methods[::2], methods[1:]]
    assert {row[8] for row in rows} <= {"temperature", "vector", "no"}  # significant difference, in the lines below
    assert "The interval and p are of each pair alone." in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_models_on_the_same_rows(capsys, tmp_path):
    sharp, true = write(tmp_path / "sharp.parquet"), write(tmp_path / "true.parquet", 1.0)
    _, out, _ = call(capsys, "contrast", sharp, true, "--metrics", "nll", "--json")
    assert json.loads(out)[0]["better"] == str(true)
    other = write(tmp_path / "other.parquet", n=700)
    assert call(capsys, "contrast", sharp, other)[::2] == (
        2, f"surefoot: {other} is not of the same rows as {sharp}: the labels differ\n",
    )  # fmt: skip


def test_zeros_count_alike_in_all_tables(capsys, tmp_path):
    """The same model, written with two decimals and with all: neither is better for what it could not write."""
    rng = np.random.default_rng(0)
    truth = 3 * rng.normal(size=(900, 4))
    labels, p = (truth + rng.gumbel(size=truth.shape)).argmax(1), softmax(truth)
    coarse = np.round(p, 2)
    coarse[np.arange(900), p.argmax(1)] += 1 - coarse.sum(1)
    tables = {"coarse": coarse.round(2), "fine": p}
    for name, probs in tables.items():
        np.savez(tmp_path / f"{name}.npz", probs=probs, labels=labels)
    code, out, err = call(capsys, "contrast", *(tmp_path / f"{n}.npz" for n in tables), "--metrics", "nll", "--json")
    assert code == 0
    assert abs(json.loads(out)[0]["difference"]) < 0.005
    assert "every probability below 0.01, that of the coarsest with zeros, counts as 0.01 in NLL" in err
    np.savez(tmp_path / "logits.npz", logits=truth, labels=labels)
    _, out, _ = call(capsys, "contrast", tmp_path / "coarse.npz", tmp_path / "logits.npz", "--metrics", "nll", "--json")
    assert abs(json.loads(out)[0]["difference"]) < 0.005


def test_names_can_be_told_apart_in_80_columns(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "a-folder-with-quite-a-long-name"
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
    one, two = write(folder / "first" / "p.parquet"), write(folder / "second" / "p.parquet", 1.0)
    lines = call(capsys, "contrast", one, two, "--metrics", "nll")[1].splitlines()
    row = next(line for line in lines if line.startswith("│NLL"))
    assert [cell.strip() for cell in row.strip("│").split("│")][:3] == ["NLL", "first", "second"]
    assert row.rstrip("│ ").endswith("second")
    long = "_".join(["quite"] * 6)
    one, two = write(tmp_path / f"{long}_1.parquet"), write(tmp_path / f"{long}_2.parquet", 1.0)
    out = call(capsys, "contrast", one, two, "--metrics", "nll")[1]
    rows = [line.strip("│").split("│") for line in out.splitlines() if line.startswith("│")]
    assert "".join(row[1].strip() for row in rows) == f"{long}_1"
    assert "".join(row[2].strip() for row in rows) == f"{long}_2"


def test_the_same_twice(capsys, tmp_path):
    table = write(tmp_path / "t.parquet")
    said = call(capsys, "contrast", table, table)
    assert said[::2] == (2, f"surefoot: {table} is the same table twice: give two of them\n")
    said = call(capsys, "contrast", table, "--methods", "none,none")
    assert said[::2] == (2, "surefoot: none is the same calibrator twice: give two of them\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "one table needs --methods"), (["--methods", "none"], "at least two tables"),
     (["--methods", "none,magic"], "no calibrator is called 'magic'"),
     (["--methods", "none,temperature", "--metrics", "accuracy"], "cannot be compared")],
)  # fmt: skip
def test_mistakes(capsys, tmp_path, arguments, said):
    code, out, err = call(capsys, "contrast", write(tmp_path / "t.parquet"), *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_what_is_compared_is_said_and_no_table_is_left_out(capsys, tmp_path):
    table = write(tmp_path / "t.parquet")
    code, out, err = call(capsys, "contrast", table, table, "--methods", "none,temperature")
    assert (code, out) == (2, "")
    assert "leave one of both out" in err
    rows = load_predictions(table)
    for name, parts in (("capitals", ["TRAIN", "TEST"]), ("neither", ["a", "b"])):
        for scale in (1, 2):
            split = np.repeat(parts, rows.n // 2)
            np.savez(tmp_path / f"{name}{scale}.npz", logits=scale * rows.scores, labels=rows.labels, split=split)
    _, out, err = call(capsys, "contrast", *(tmp_path / f"capitals{s}.npz" for s in (1, 2)), "--metrics", "nll")
    assert out.startswith("400 rows")
    assert "capitals1.npz: its 400 rows of the part test are compared" in err
    assert "the part 'TEST' is taken for 'test'" in err
    _, out, err = call(capsys, "contrast", *(tmp_path / f"neither{s}.npz" for s in (1, 2)), "--metrics", "nll")
    assert out.startswith("800 rows")
    assert "all rows are compared, of a and b: no part is called test" in err
