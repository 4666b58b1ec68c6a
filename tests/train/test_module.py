"""Every loss trains; a killed run resumes to the same weights."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from surefoot.data import load_data
from surefoot.evaluate.training_log import read_log
from surefoot.losses import LOSSES, CrossEntropy
from surefoot.models import find_model
from surefoot.train import Recipe, Run, fit, load_model, predict, run_cell
from surefoot.train.module import refined_nll
from training import QUIET, SHORT

LONG = Run("digits", "mlp", "adafocal", Recipe(epochs=60, batch_size=64, learning_rate=0.05, drops=(0.5,)), 3)
KILLED = f"""
import sys
from surefoot.train import Recipe, Run, run_cell
run_cell({LONG!r}, sys.argv[1], {QUIET!r})
"""


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_trains(tmp_path, loss):
    predictions = run_cell(Run("digits", "mlp", loss, SHORT, 0), tmp_path, QUIET)
    assert predictions.parts == ("test", "validation")
    assert (predictions.scores.argmax(1) == predictions.labels).mean() > 0.25  # chance is 0.1
    assert predictions.provenance["loss"] == loss
    assert predictions.provenance["division"] == "60 : 15 : 25 by class, seed 0"


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    # one thread there as here: sums must run in the same order to agree to the last bit
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(killed)], env=environment)
    log = killed / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert log.exists()
    assert not (killed / "predictions.parquet").exists()  # it was killed in the middle
    a, b = (run_cell(LONG, folder, QUIET) for folder in (whole, killed))
    assert np.array_equal(a.scores, b.scores)


def test_the_log_has_what_the_paper_looks_at(tmp_path):
    predictions = run_cell(Run("digits", "mlp", "ce", replace(SHORT, keep="last"), 0), tmp_path, QUIET)
    log = read_log(tmp_path).columns
    assert len(log["val_nll"]) == SHORT.epochs
    held_out = predictions.part("validation")
    probs, labels = held_out.probs(), held_out.labels
    right = probs.argmax(1) == labels
    truth = {
        "val_nll": -np.log(probs[np.arange(len(labels)), labels]).mean(),
        "val_error": 1 - right.mean(),
        "val_entropy": -(probs * np.log(probs)).sum(1).mean(),
        "val_confidence_right": probs.max(1)[right].mean(),
        "val_confidence_wrong": probs.max(1)[~right].mean(),
    }
    for name, value in truth.items():
        assert log[name][-1] == pytest.approx(value, rel=1e-4), name
    weights = load_model(tmp_path / "model.safetensors").state_dict()
    last = [w for w in weights.values() if w.ndim > 1][-1]
    assert log["last_layer_norm"][-1] == pytest.approx(float(last.norm()), rel=1e-4)
    assert all(norm > 0 for norm in log["gradient_norm"])


def test_the_best_epoch_is_kept_by_what_the_network_knows(tmp_path):
    # a rate that ruins the network in its second half
    recipe = Recipe(epochs=6, batch_size=64, learning_rate=0.1, drops=(), keep="best")
    data = load_data("digits")
    model = find_model("mlp")(data.shape, 10)
    fit(model, CrossEntropy(), data, recipe, tmp_path, trainer=QUIET)
    logits = torch.from_numpy(predict(model, data.validation))
    kept = refined_nll(logits, data.validation.y)
    assert kept == pytest.approx(min(read_log(tmp_path).columns["val_refined_nll"]), rel=1e-4)


def test_refined_nll_does_not_see_the_scale_of_logits():
    logits, labels = torch.randn(200, 3), torch.randint(3, (200,))
    assert refined_nll(7 * logits, labels) == pytest.approx(refined_nll(logits, labels), rel=1e-6)
    assert refined_nll(torch.full((2, 2), torch.nan), torch.tensor([0, 1])) == float("inf")
