"""`surefoot predict`: the logits of training again, and inputs outside of the box."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from surefoot.core.tables import load_predictions
from typed import call, surefoot


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a linear classifier of the digits for one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    surefoot("train", "--model", "linear", "--epochs", 1, "-o", folder)
    return folder


def test_it_gives_what_training_left(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, said, err = call(capsys, "predict", run / "model.safetensors", "-o", tmp_path / "p.npz")
    trained, again = load_predictions(run / "predictions.parquet"), load_predictions(tmp_path / "p.npz")
    assert (code, err) == (0, "")
    assert f"{again.n:,} rows of logits, 10 classes" in said
    assert np.array_equal(trained.scores, again.scores)
    assert np.array_equal(trained.labels, again.labels)
    assert again.provenance["data"] == "digits"


def test_inputs_outside_of_the_box_are_counted_or_refused(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 1, 8, 8).astype(np.float32)
    np.savez(tmp_path / "far.npz", x=3 * x, y=y)
    given = ("predict", run / "model.safetensors", "--data", tmp_path / "far.npz", "-o", tmp_path / "p.npz")
    code, _, err = call(capsys, *given, "--refuse")
    assert code == 2
    assert "lie outside of the box" in " ".join(err.split())
    assert not (tmp_path / "p.npz").exists()
    code, _, err = call(capsys, *given)
    assert code == 0
    assert "its confidence there means nothing" in " ".join(err.split())
    assert (tmp_path / "p.npz").exists()


def test_data_of_another_shape_is_refused(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "flat.npz", x=rng.random((200, 3)).astype(np.float32), y=np.arange(200) % 10)
    code, _, err = call(capsys, "predict", run / "model.safetensors", "--data", tmp_path / "flat.npz")
    assert code == 2
    assert "does not fit the inputs of" in " ".join(err.split())
