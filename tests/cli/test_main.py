"""The command line as a person meets it: help, one line for each mistake, interrupts."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from surefoot import __version__
from surefoot.cli.main import COMMANDS, FAULT, INTERRUPTED, OUT_OF_MEMORY, build, run
from surefoot.core import cluster
from surefoot.core.errors import InputError
from surefoot.core.numerics import softmax
from typed import call, surefoot


def test_an_interrupted_training_says_so_and_leaves_no_predictions(tmp_path):
    code = (  # a suite in the background ignores interrupts, and what it starts does too
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from surefoot.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "train", "--model", "mlp", "--epochs", "100000", "-o", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
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


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["measure", "none.npz"], 3, "no such file"),
        (["measure", "{bad}"], 3, "damaged"),
        (["measure", "{nan}"], 2, "row 1 holds nan"),
        (["measure", "{as_probs}"], 2, "row 0 is not a distribution .*look like logits"),
        (["measure", "{as_logits}"], 2, "these are probabilities"),
        (["measure", "{mismatch}"], 2, "3 rows of scores but 2 labels"),
        (["measure", "{range}"], 2, "row 2 is 7, outside 0 to 1"),
        (["measure", "{empty}"], 2, "no rows"),
        (["measure", "{one}"], 2, "at least two classes"),
        (["measure", "{good}", "--split", "test"], 2, "no row belongs to the part 'test'"),
        (["measure", "{good}", "--map", "none.json"], 3, "cannot read none.json"),
        (["recalibrate", "{good}", "--method", "magic"], 2, "there are: auto, none, temperature"),
        (["recalibrate", "{good}", "--gamma", "2"], 2, "focal-undo"),
        (["recalibrate", "{good}", "--predictions", "out.txt"], 2, "written as .parquet or .npz"),
        (["report", "{good}", "--method", "magic"], 2, "there are: auto, none, temperature"),
        (["report", "{nan}", "-o", "r.html"], 2, "row 1 holds nan"),
        (["compare", "--losses", "ce,hinge"], 2, "no loss is called 'hinge'"),
        (["compare", "--losses", ","], 2, "names no loss"),
        (["compare", "--data", "imagenet"], 2, "there are: digits"),
        (["train", "--model", "vgg"], 2, "no model is called"),
        (["train", "--data", "none.npz"], 3, "cannot read none.npz"),
        (["train", "--data", "cifar10", "--folder", "none"], 3, "there is no such folder"),
        (["train", "--data", "digits", "--folder", "in"], 2, "a folder is for the files of a published set"),
        (["train", "--model", "pooling-cnn"], 2, "this network is for texts"),
        (["compare", "--train-rows", "3"], 2, "3 of them cannot be chosen from every class"),
        (["compare", "--model", "mlp", "--cluster", "tcp://127.0.0.1:9"], 2, "no Dask scheduler answers"),
        (["reproduce", "mce"], 2, "no table is called 'mce'; there are: ece"),
        (["explain", "in"], 3, "name the folder that `surefoot train` left"),
        (["predict", "none.pt"], 3, "no such file"),
    ],
)
def test_each_mistake_is_one_line_a_code_and_no_file(capsys, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    inputs = tmp_path / "in"
    inputs.mkdir()
    z, y = np.array([[1.0, 0.5], [0.2, 3.0], [2.0, -1.0]]), np.array([0, 1, 1])
    files = {
        "good": {"logits": z, "labels": y},
        "nan": {"logits": np.array([[1.0, 0.5], [np.nan, 3.0], [2.0, -1.0]]), "labels": y},
        "as_probs": {"probs": z, "labels": y},
        "as_logits": {"logits": softmax(z), "labels": y},
        "mismatch": {"logits": z, "labels": y[:2]},
        "range": {"logits": z, "labels": np.array([0, 1, 7])},
        "empty": {"logits": z[:0], "labels": y[:0]},
        "one": {"logits": z[:, :1], "labels": y * 0},
    }
    for name, arrays in files.items():
        np.savez(inputs / f"{name}.npz", allow_pickle=False, **arrays)
    (inputs / "bad.npz").write_bytes((inputs / "good.npz").read_bytes()[:-40])
    places = {name: str(inputs / f"{name}.npz") for name in [*files, "bad"]}
    got, out, err = call(capsys, *(a.format(**places) for a in arguments))
    assert got == code
    assert out == ""
    assert err.startswith("surefoot: ")
    assert err.count("\n") == 1
    assert re.search(said, err)
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.parent != inputs]
    assert left == [] or arguments[0] in ("compare", "train")  # a run's folder may hold its own record


def test_help_of_every_command_teaches(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert name in out
        code, help_text, _ = call(capsys, name, "--help")
        assert code == 0
        assert "Example" in help_text
    assert call(capsys, "--version")[1].strip() == __version__
    assert call(capsys, "mesure")[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], r"No such command 'nonsense'; see `surefoot --help`"),
        (["verify"], r"Missing argument 'network'; see `surefoot verify --help`"),
        (["verify", "net.onnx", "p.vnnlib", "--timeout", "nan"], r"'--timeout': .*0; see `surefoot verify --help`"),
        (["verify", "net.onnx", "--first", "0"], r"'--first': .*1; see `surefoot verify --help`"),
        (["compress", "net.onnx", "--domain", "0,1", "--tolerance", "nan"], r"'--tolerance'"),
        (["measure", "t.npz", "--colour"], r"No such option: --colour"),
    ],
)
def test_what_is_wrong_with_what_was_typed_is_one_line(words, said, capsys):
    surefoot(*words, code=2)
    err = capsys.readouterr().err
    assert re.fullmatch(rf"surefoot: .*{said}.*\n", err)


def test_without_a_word_there_is_the_help(capsys):
    surefoot(code=2)
    assert "Commands:" in capsys.readouterr().err
