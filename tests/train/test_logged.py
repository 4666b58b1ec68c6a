"""The torchmetrics face: the same numbers as our own, over batches, resets, processes, and inside Lightning."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader, TensorDataset

import two_processes
from surefoot.core.errors import InputError
from surefoot.core.numerics import softmax
from surefoot.metrics import METRICS
from surefoot.train import Calibration, calibration_metrics
from two_processes import sample

ALL = two_processes.ALL


def expected():
    logits, labels = sample()
    probs = softmax(logits.numpy())
    return {name: m.read(m.observe(probs, labels.numpy())) for name, m in METRICS.items()}


def test_batches_and_resets_and_shared_tallies():
    logits, labels = sample()
    metrics = calibration_metrics(names=ALL)
    for _ in range(2):
        for start in range(0, 300, 70):
            metrics.update(logits[start : start + 70], labels[start : start + 70])
        found = {name: float(value) for name, value in metrics.compute().items()}
        assert found == pytest.approx(expected(), rel=1e-6, abs=1e-6, nan_ok=True)
        metrics.reset()
    assert len(metrics.compute_groups) < len(ALL)


def test_what_it_is_given_is_said_and_checked():
    with pytest.raises(InputError, match="no metric is called 'sharpness'"):
        Calibration("sharpness")
    with pytest.raises(InputError, match="not a distribution"):
        Calibration("ece", "probs").update(*sample())
    with pytest.raises(InputError, match="these are probabilities"):
        Calibration("ece").update(torch.tensor([[0.2, 0.8]]), torch.tensor([0]))
    with pytest.warns(UserWarning, match="before the ``update``"), pytest.raises(InputError, match="no rows"):
        Calibration("ece").compute()


def test_it_is_logged_inside_lightning(tmp_path):
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    rows = DataLoader(TensorDataset(*sample()), batch_size=64, num_workers=0)
    (found,) = trainer.validate(two_processes.Net(), rows, verbose=False)
    assert found == pytest.approx({name: expected()[name] for name in ("ece", "ks", "nll")}, rel=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_all_rows(tmp_path):
    spawn(two_processes.worker, (tmp_path,), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found == pytest.approx(expected(), rel=1e-6, abs=1e-6, nan_ok=True)


@pytest.mark.slow
def test_lightning_on_two_devices_logs_the_numbers_of_all_rows(tmp_path):
    script = Path(two_processes.__file__)
    subprocess.run([sys.executable, str(script), str(tmp_path / "found.json")], check=True, cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == pytest.approx({name: expected()[name] for name in ("ece", "ks", "nll")}, rel=1e-5)
