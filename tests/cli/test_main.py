"""The command itself: interrupts, and what it imports."""

import os
import signal
import subprocess
import sys
import time

import pytest

from surefoot.cli.main import COMMANDS, INTERRUPTED, build


def test_an_interrupted_training_says_so_and_leaves_no_predictions(tmp_path):
    command = [sys.executable, "-m", "surefoot.cli.main", "train", "--model", "mlp", "--epochs", "100000"]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 240  # a busy machine takes its time to import PyTorch
        while not (tmp_path / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == INTERRUPTED
    assert "surefoot: stopped; the same command goes on from here" in said
    assert not (tmp_path / "predictions.parquet").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_builds(name):
    assert [c.name for c in build(name).registered_commands] == list(COMMANDS)
