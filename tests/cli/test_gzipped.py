"""Every command reads an .onnx.gz as it reads the .onnx in it."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.graph.onnx_in import read_onnx
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MLP
from typed import call

TIMES = {"seconds", "each", "spared"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("gzipped")
    torch.manual_seed(0)
    write_onnx(graph_of_module(MLP((4,), 3, widths=(6,)).eval(), torch.zeros(2, 4)), where / "net.onnx")
    text = "".join(f"(declare-const {n} Real)\n" for n in [f"X_{i}" for i in range(4)] + [f"Y_{i}" for i in range(3)])
    text += "".join(f"(assert (>= X_{i} 0.4))(assert (<= X_{i} 0.5))\n" for i in range(4))
    (where / "p.vnnlib").write_text(text + "(assert (<= Y_0 -100.0))")
    rng = np.random.default_rng(0)
    np.savez(where / "x.npz", x=rng.random((60, 4)).astype(np.float32), y=rng.integers(0, 3, 60))
    (where / "net.onnx.gz").write_bytes(gzip.compress((where / "net.onnx").read_bytes()))
    return where


def without_times(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_times(v) for name, v in value.items() if name not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "command",
    [
        "verify NET p.vnnlib",
        "certify NET --images x.npz --eps 0,0.01 --first 3",
        "equal NET net.onnx --domain 0,1",
        "equal net.onnx NET --domain 0,1 --within 0.5",
        "regions NET --domain 0,1 --count",
        "compress NET --domain 0,1 -o small.onnx --certificate proof.npz",
    ],
)
def test_answers_are_the_same(command: str, folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    found = [call(capsys, *command.replace("NET", net).split(), "--json") for net in ("net.onnx", "net.onnx.gz")]
    assert found[0][0] == found[1][0] == 0
    assert without_times(json.loads(found[0][1])) == without_times(json.loads(found[1][1]))


def test_certificates_are_of_either(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    assert (
        call(capsys, "compress", "net.onnx.gz", "--domain", "0,1", "-o", "small.onnx", "--certificate", "e.npz")[0] == 0
    )
    assert call(capsys, "verify", "net.onnx.gz", "p.vnnlib", "--certificate", "p.npz")[0] == 0
    (folder / "small.onnx.gz").write_bytes(gzip.compress((folder / "small.onnx").read_bytes()))
    for net in ("net.onnx", "net.onnx.gz"):
        assert call(capsys, "check", net, "p.vnnlib", "p.npz")[0] == 0
        for small in ("small.onnx", "small.onnx.gz"):
            assert call(capsys, "check", net, small, "e.npz")[0] == 0


def test_export(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    for net, out in (("net.onnx", "one.onnx"), ("net.onnx.gz", "two.onnx")):
        assert call(capsys, "export", net, "--classes", "3", "-o", out)[0] == 0
    assert (folder / "one.onnx").read_bytes() == (folder / "two.onnx").read_bytes()
    assert read_onnx(folder / "two.onnx").output_shape == (3,)


def test_assess(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    words = ("--images", "x.npz", "--eps", "0", "--certify", "2", "--range", "0,1", "--json")
    code, out, _ = call(capsys, "assess", "net.onnx.gz", *words, "-o", "out")
    assert code == 0
    found = json.loads(out)
    assert found["title"] == "net"
    assert found["reasons"] == {}
    assert {"calibrated.onnx", "small.onnx", "report.html"} <= {path.name for path in (folder / "out").iterdir()}


def test_what_is_no_whole_file_is_refused(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    (folder / "cut.onnx.gz").write_bytes((folder / "net.onnx.gz").read_bytes()[:-20])
    for words in (
        ("export", "cut.onnx.gz", "--classes", "3"),
        ("assess", "cut.onnx.gz", "--images", "x.npz", "-o", "none"),
        ("compress", "cut.onnx.gz", "--domain", "0,1"),
        ("check", "cut.onnx.gz", "p.vnnlib", "p.npz"),
    ):
        code, _, err = call(capsys, *words)
        assert code == 3, words
        assert "cut.onnx.gz is not a whole gzip file" in err
