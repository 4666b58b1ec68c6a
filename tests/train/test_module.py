"""Every loss trains; a killed run resumes to the same weights."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from surefoot.core.predictions import load_predictions
from surefoot.losses import LOSSES
from surefoot.train import (
    Cell,
    run_cell,
)
from training import QUIET, SHORT

KILLED = """
import sys
from surefoot.train import Cell, Recipe, run_cell
recipe = Recipe(epochs=int(sys.argv[2]), batch_size=64, learning_rate=0.05, drops=(0.5,))
options = {"enable_progress_bar": False, "accelerator": "cpu"}
run_cell(Cell("digits", "mlp", "adafocal", recipe, 3), sys.argv[1], options)
"""


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_trains(tmp_path, loss):
    predictions = run_cell(Cell("digits", "mlp", loss, SHORT, 0), tmp_path, QUIET)
    assert predictions.parts == ("test", "validation")
    assert (predictions.scores.argmax(1) == predictions.labels).mean() > 0.25  # chance is 0.1
    assert predictions.provenance["loss"] == loss


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-c", KILLED]
    # one thread in both: sums must run in the same order to agree to the last bit
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(whole), "100"], check=True, env=environment)
    process = subprocess.Popen([*command, str(killed), "100"], env=environment)
    log = killed / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert log.exists()
    assert not (killed / "predictions.parquet").exists()  # it was killed in the middle
    subprocess.run([*command, str(killed), "100"], check=True, env=environment)
    a, b = (load_predictions(f / "predictions.parquet") for f in (whole, killed))
    assert np.array_equal(a.scores, b.scores)
