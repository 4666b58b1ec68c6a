"""`surefoot reproduce`: tables beside the paper's, runs that are shared, and out-of-distribution inputs."""

import json

import pytest

from image_files import write_pictures
from typed import call


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


def test_reproduce_measures_out_of_distribution_inputs(tmp_path, capsys):
    write_pictures(tmp_path / "mine")
    options = ["--data", tmp_path / "mine", "--model", "mlp", "--losses", "ce", "--seeds", "1", "--recipe", "quick"]
    code, out, _ = call(capsys, "reproduce", "ood-auroc", *options, "--epochs", "1", "-o", tmp_path / "runs", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert len(rows) == 15  # five severities of noise, three scores
    assert all(0 <= row["mean"] <= 100 for part in rows.values() for row in part)
    assert json.loads((tmp_path / "runs" / "ood-auroc.json").read_text())["rows"] == rows


@pytest.mark.parametrize("option", ["--ood", "--strange"])
def test_the_folder_of_out_of_distribution_inputs_has_two_names(tmp_path, capsys, option):
    write_pictures(tmp_path / "mine")
    options = ["--data", tmp_path / "mine", "--model", "mlp", "--losses", "ce", "--seeds", "1", "--recipe", "quick"]
    code, _, err = call(capsys, "reproduce", "ood-auroc", *options, option, tmp_path, "-o", tmp_path / "runs")
    assert (code, "holds neither SVHN" in err) == (3, True)
