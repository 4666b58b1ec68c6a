"""Training one network: what it leaves, and what it refuses to load."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from surefoot.core.errors import FileError, InputError
from surefoot.core.tables import load_predictions
from surefoot.data import load_data
from surefoot.losses import CrossEntropy
from surefoot.models import MODELS
from surefoot.train import (
    Recipe,
    Run,
    fit,
    load_model,
    matrix,
    predict,
    run_cell,
    save_model,
)
from surefoot.train.module import Classifier
from training import QUIET, SHORT


def test_divergence_is_an_error_and_leaves_no_predictions(tmp_path):
    recipe = Recipe(epochs=2, learning_rate=1e30)
    with pytest.raises(InputError, match="training diverged"):
        run_cell(Run("digits", "mlp", "ce", recipe, 0), tmp_path, QUIET)
    assert not (tmp_path / "predictions.parquet").exists()


@pytest.mark.parametrize("damage", [b"", b"hello", None])
def test_damaged_models_are_refused(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    save_model(MODELS["mlp"]((1, 8, 8), 10), "mlp", (1, 8, 8), 10, path)
    path.write_bytes(path.read_bytes()[:-500] if damage is None else damage)
    with pytest.raises(FileError, match=r"model\.safetensors"):
        load_model(path)


def test_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save({"name": "mlp", "state": Bomb()}, tmp_path / "model.safetensors")
    with pytest.raises(FileError):
        load_model(tmp_path / "model.safetensors")
    assert not (tmp_path / "exploded").exists()


def test_seeds_decide_and_a_saved_model_predicts_the_same(tmp_path):
    a, b, c = (
        run_cell(Run("digits", "mlp", "fl-3", SHORT, s), tmp_path / f, QUIET) for s, f in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert np.array_equal(a.scores, b.scores)
    assert not np.array_equal(a.scores, c.scores)
    assert np.array_equal(a.labels, c.labels)  # the rows measured are the same for every seed
    data = load_data("digits")
    again = predict(load_model(tmp_path / "a" / "model.safetensors"), data.test)
    assert np.array_equal(again, a.part("test").scores)


def test_a_network_that_does_not_fit_the_data_is_refused_before_training(tmp_path):
    data = load_data("digits")
    with pytest.raises(InputError, match=r"does not take inputs of digits, shape \(1, 8, 8\)"):
        fit(torch.nn.Linear(3, 10), CrossEntropy(), data, SHORT, tmp_path, trainer=QUIET)
    with pytest.raises(InputError, match=r"logits of shape \(4,\), but digits has 10 classes"):
        fit(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4)), CrossEntropy(), data, SHORT, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_devices_train_as_one_process_group(tmp_path):
    options = ["--devices", "2", "--accelerator", "cpu", "--epochs", "2", "--model", "mlp", "--loss", "adafocal"]
    subprocess.run(
        [sys.executable, "-m", "surefoot.cli.main", "train", "-o", str(tmp_path / "run"), *options], check=True
    )
    assert load_predictions(tmp_path / "run" / "predictions.parquet").n == 720


def stopped(monkeypatch, folder, epoch):
    """Train until an epoch begins, and die; or when all are done."""
    step = Classifier.training_step

    def dies(self, batch):
        if self.current_epoch == epoch:
            raise RuntimeError("killed")
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", dies)
        patch.setattr(matrix, "save_model", lambda *_: dies(SimpleNamespace(current_epoch=epoch), None))
        with pytest.raises(RuntimeError, match="killed"):
            run_cell(Run("digits", "mlp", "ce", SHORT, 0), folder, QUIET)


def test_the_log_of_a_resumed_run_is_that_of_an_unbroken_one(tmp_path, monkeypatch):
    run_cell(Run("digits", "mlp", "ce", SHORT, 0), tmp_path / "whole", QUIET)
    stopped(monkeypatch, tmp_path / "killed", 1)
    stopped(monkeypatch, tmp_path / "killed", 3)
    log = tmp_path / "killed" / "log" / "metrics.csv"
    with log.open("a", newline="") as file:  # a line of the epoch that is done again, and one that was cut short
        file.write("3" + "," * log.read_text().partition("\n")[0].count(",") + "\r\n1")
    run_cell(Run("digits", "mlp", "ce", SHORT, 0), tmp_path / "killed", QUIET)
    assert log.read_bytes() == (tmp_path / "whole" / "log" / "metrics.csv").read_bytes()


def flipped(content):
    """Change one byte in the middle."""
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :]


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b[:-100], lambda _: b"", lambda _: b"mine", flipped])
@pytest.mark.parametrize(("name", "epoch"), [("last.ckpt", 1), ("best.ckpt", SHORT.epochs)])
def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, name, epoch, damage):
    stopped(monkeypatch, tmp_path, epoch)
    path = tmp_path / "checkpoints" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match=rf"{name} is damaged .*; remove it"):
        run_cell(Run("digits", "mlp", "ce", SHORT, 0), tmp_path, QUIET)
