"""`surefoot contrast`, on one table and on several."""

import json

import numpy as np
import pytest

from surefoot.core.predictions import Predictions, save_predictions
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


def test_models_on_the_same_rows(capsys, tmp_path):
    sharp, true = write(tmp_path / "sharp.parquet"), write(tmp_path / "true.parquet", 1.0)
    _, out, _ = call(capsys, "contrast", sharp, true, "--metrics", "nll", "--json")
    assert json.loads(out)[0]["better"] == str(true)
    other = write(tmp_path / "other.parquet", n=700)
    assert call(capsys, "contrast", sharp, other)[::2] == (
        2, f"surefoot: {other} is not of the same rows as {sharp}: the labels differ\n",
    )  # fmt: skip


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
