"""`surefoot measure`: the names in its JSON, every format, groups and chosen metrics."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surefoot.cli.main import run
from surefoot.core.tables import load_predictions
from typed import call


@pytest.mark.parametrize("as_json", [True, False])
def test_groups_and_chosen_metrics(capsys, tmp_path, as_json):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(900, 3))
    labels, site = (logits + rng.gumbel(size=logits.shape)).argmax(1), np.tile(["a", "b", "c"], 300)
    labels = np.where(site == "b", rng.integers(3, size=900), labels)
    np.savez(tmp_path / "t.npz", logits=logits, labels=labels, site=site)
    arguments = ["measure", str(tmp_path / "t.npz"), "--by", "site", "--metrics", "nll,smooth_ece"]
    with pytest.raises(SystemExit):
        run(arguments + ["--json"] * as_json)
    out = capsys.readouterr().out
    if as_json:
        found = json.loads(out)
        assert found["worst"] == {"nll": "b", "smooth_ece": "b"}
        assert [found["groups"][g]["n"] for g in "abc"] == [300, 300, 300]
        assert set(found["groups"]["a"]) == {"n", "nll", "smooth_ece"}
    else:
        assert "Worst by site: NLL: b" in out


JSON_NAMES = ["accuracy", "nll", "brier", "ece", "ada_ece", "classwise_ece", "mce", "ks", "ks_pvalue"]


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
