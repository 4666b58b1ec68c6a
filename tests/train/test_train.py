"""Training: resumes to the same weights after a kill, leaves whole files, follows its recipe."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from surefoot.core.errors import FileError, InputError
from surefoot.core.predictions import load_predictions
from surefoot.data import load_data
from surefoot.losses import LOSSES
from surefoot.models import MODELS
from surefoot.train import (
    RECIPES,
    Cell,
    Recipe,
    cells,
    find_recipe,
    load_model,
    predict,
    run_cell,
    run_matrix,
    save_model,
)
from surefoot.train.batches import ShuffledBatches, in_order

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}
SHORT = Recipe(epochs=4, batch_size=64, optimiser="adam", learning_rate=3e-3, drops=(0.5,), clip_norm=1.0)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_trains(tmp_path, loss):
    predictions = run_cell(Cell("digits", "mlp", loss, SHORT, 0), tmp_path, QUIET)
    assert predictions.parts == ("test", "validation")
    assert (predictions.scores.argmax(1) == predictions.labels).mean() > 0.25  # chance is 0.1
    assert predictions.provenance["loss"] == loss


KILLED = """
import sys
from surefoot.train import Cell, Recipe, run_cell
recipe = Recipe(epochs=int(sys.argv[2]), batch_size=64, learning_rate=0.05, drops=(0.5,))
options = {"enable_progress_bar": False, "accelerator": "cpu"}
run_cell(Cell("digits", "mlp", "adafocal", recipe, 3), sys.argv[1], options)
"""


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


def test_a_finished_cell_is_not_trained_again_and_another_is_refused(tmp_path):
    cell = Cell("digits", "mlp", "ce", SHORT, 0)
    first = run_cell(cell, tmp_path, QUIET)
    written = (tmp_path / "model.pt").stat().st_mtime_ns
    again = run_cell(cell, tmp_path, QUIET)
    assert np.array_equal(first.scores, again.scores)
    assert (tmp_path / "model.pt").stat().st_mtime_ns == written
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(FileError, match="other settings"):
        run_cell(Cell("digits", "mlp", "brier", SHORT, 0), tmp_path, QUIET)


def test_seeds_decide_and_a_saved_model_predicts_the_same(tmp_path):
    a, b, c = (
        run_cell(Cell("digits", "mlp", "fl-3", SHORT, s), tmp_path / f, QUIET)
        for s, f in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert np.array_equal(a.scores, b.scores)
    assert not np.array_equal(a.scores, c.scores)
    assert np.array_equal(a.labels, c.labels)  # the rows measured are the same for every seed
    data = load_data("digits")
    again = predict(load_model(tmp_path / "a" / "model.pt"), data.test)
    assert np.array_equal(again, a.part("test").scores)


def test_a_matrix_runs_in_parallel_and_gives_what_single_cells_give(tmp_path):
    matrix = cells(["digits"], ["mlp"], ["ce", "fl-3"], SHORT, [0, 1])
    seen = []
    found = run_matrix(matrix, tmp_path / "many", jobs=2, done=seen.append)
    assert list(found) == matrix
    assert sorted(c.name for c in seen) == sorted(c.name for c in matrix)
    one = run_cell(matrix[3], tmp_path / "one", QUIET)
    assert np.allclose(one.scores, found[matrix[3]].scores, atol=1e-4)  # threads sum in another order


def test_unknown_names_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(InputError, match="no loss is called 'hinge'"):
        cells(["digits"], ["mlp"], ["ce", "hinge"], SHORT, [0])
    with pytest.raises(InputError, match="no model"):
        cells(["digits"], ["vgg"], ["ce"], SHORT, [0])
    with pytest.raises(InputError, match="no recipe"):
        find_recipe("slow")


def test_divergence_is_an_error_and_leaves_no_predictions(tmp_path):
    recipe = Recipe(epochs=2, learning_rate=1e30)
    with pytest.raises(InputError, match="training diverged"):
        run_cell(Cell("digits", "mlp", "ce", recipe, 0), tmp_path, QUIET)
    assert not (tmp_path / "predictions.parquet").exists()


@pytest.mark.parametrize("damage", [b"", b"hello", None])
def test_damaged_models_are_refused(tmp_path, damage):
    path = tmp_path / "model.pt"
    save_model(MODELS["mlp"]((1, 8, 8), 10), "mlp", (1, 8, 8), 10, path)
    path.write_bytes(path.read_bytes()[:-500] if damage is None else damage)
    with pytest.raises(FileError, match=r"model\.pt"):
        load_model(path)


def test_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save({"name": "mlp", "state": Bomb()}, tmp_path / "model.pt")
    with pytest.raises(FileError):
        load_model(tmp_path / "model.pt")
    assert not (tmp_path / "exploded").exists()


def test_the_papers_recipe():
    paper = RECIPES["paper"]
    rates = [paper.rate_factor(e) for e in range(350)]
    assert (rates.count(1.0), sum(abs(r - 0.1) < 1e-9 for r in rates), sum(abs(r - 0.01) < 1e-9 for r in rates)) == (
        149,
        100,
        101,
    )
    assert paper.reduction_for("flsd-53") == "sum"
    assert paper.reduction_for("brier") == "mean"
    with pytest.raises(InputError, match="at least one epoch"):
        find_recipe("paper", 0)


def test_batches_cover_the_rows_in_an_order_of_their_epoch():
    batches = ShuffledBatches(10, 3, seed=0)
    first = list(batches)
    assert len(first) == len(batches) == 4
    assert sorted(row for batch in first for row in batch) == list(range(10))
    assert list(batches) == first
    batches.set_epoch(1)
    assert list(batches) != first
    data = load_data("digits")
    assert torch.equal(torch.cat([y for _, y in in_order(data.test, 100)]), data.test.y)


@pytest.mark.slow
def test_two_devices_train_as_one_process_group(tmp_path):
    options = ["--devices", "2", "--accelerator", "cpu", "--epochs", "2", "--model", "mlp", "--loss", "adafocal"]
    subprocess.run(
        [sys.executable, "-m", "surefoot.cli.main", "train", "-o", str(tmp_path / "run"), *options], check=True
    )
    assert load_predictions(tmp_path / "run" / "predictions.parquet").n == 720
