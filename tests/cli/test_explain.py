"""`surefoot explain`: what a training did."""

import json

from typed import call


def test_explain_says_what_a_training_did(tmp_path, capsys):
    call(capsys, "train", "--model", "mlp", "--epochs", "3", "-o", str(tmp_path))
    said = call(capsys, "explain", str(tmp_path))[1]
    assert "verfitting of NLL" in said
    assert (tmp_path / "training.html").exists()
    found = json.loads(call(capsys, "explain", str(tmp_path), "--json")[1])
    assert len(found["log"]["val_nll"]) == 3
    code, _, err = call(capsys, "explain", tmp_path / "none")
    assert (code, err.count("\n")) == (3, 1)
