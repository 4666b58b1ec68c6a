"""The command itself: interrupts, and what it imports."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from surefoot.cli.main import COMMANDS, FAULT, INTERRUPTED, OUT_OF_MEMORY, build, run
from surefoot.core.errors import InputError
from typed import call


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


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyError(2), FAULT, r"a fault of surefoot, please report it: KeyError: 2 \(test_main\.py:\d+; SUREFOOT_TRACE"),
        (ValueError("one\ntwo"), FAULT, "ValueError: one two"),
        (MemoryError("Unable to allocate 9 TiB"), OUT_OF_MEMORY, "out of memory: Unable to allocate 9 TiB; give it a"),
        (OSError(28, "No space left on device"), 3, "cannot write the output: No space left on device"),
        (InputError("row 3 is NaN"), 2, "surefoot: row 3 is NaN"),
    ],
)
def test_whatever_goes_wrong_is_one_line(error, code, line, monkeypatch, capsys):
    def raises() -> None:
        raise error

    monkeypatch.setattr("surefoot.cli.doctor.command", raises)
    assert call(capsys, "doctor")[0] == code
    with pytest.raises(SystemExit):
        run(["doctor"])
    said = capsys.readouterr().err
    assert re.search(line, said)
    assert said.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_a_full_disk_is_one_line_on_standard_output_too():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "surefoot.cli.main", "doctor"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "surefoot: cannot write the output: No space left on device\n")
