"""What the VNN-LIB 2.0 standard asks of `verify`, as it is typed."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from surefoot.cli.standard import networks_of
from surefoot.core.errors import InputError
from two_layers import box, declared, two_layers
from typed import surefoot

HEAD = "(vnnlib-version <2.0>)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    two_layers(tmp_path / "f.onnx", 0)
    two_layers(tmp_path / "g.onnx", 1)
    return tmp_path


def ask(text: str, *options: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[list[str], str]:
    Path("q.vnnlib").write_text(HEAD + text)
    surefoot("verify", "q.vnnlib", *options, code=code)
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def test_sat_with_an_assignment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = declared("f", "XY") + declared("g", "UV") + box("X") + box("U") + "(assert (<= Y[0,0] V[0,0]))"
    lines, _ = ask(text, "--network", "f=f.onnx", "--network", "g=g.onnx", "--timeout", "10", capsys=capsys)
    assert lines[0] == "sat"
    assert [line for line in lines if line.endswith("]")] == [
        "X float32 [1,3]", "Y float32 [1,2]", "U float32 [1,3]", "V float32 [1,2]",
    ]  # fmt: skip
    values = [float(line) for line in lines[1:] if not line.endswith("]")]
    assert len(values) == 10
    assert values[3] <= values[8]  # Y_0 <= V_0
    options = ["--network", "f=f.onnx", "--network", "g=g.onnx", "--serialise-assignments", "found"]
    assert ask(text, *options, capsys=capsys)[0] == ["sat"]
    tensors = {path.stem: onnx.load_tensor(path) for path in Path("found").iterdir()}
    assert sorted(tensors) == ["U", "V", "X", "Y"]
    assert tensors["X"].data_type == TensorProto.FLOAT
    assert numpy_helper.to_array(tensors["X"]).shape == (1, 3)
    np.testing.assert_allclose(numpy_helper.to_array(tensors["V"])[0, 0], values[8], rtol=1e-6)


def test_files_of_something_else_are_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = declared("f", "XY") + box("X") + "(assert (<= Y[0,0] 1000.0))"
    Path("found").mkdir()
    Path("found/Y.pb").write_text("mine")
    options = ["--network", "f=f.onnx", "--serialise-assignments"]
    assert "of something else" in ask(text, *options, "found", capsys=capsys, code=2)[1]
    assert Path("found/Y.pb").read_text() == "mine"
    assert ask(text, *options, "again", capsys=capsys) == ask(text, *options, "again", capsys=capsys)
    assert "it is a file" in ask(text, *options, "f.onnx", capsys=capsys, code=3)[1]


def test_unsat_unknown_and_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = declared("f", "XY") + box("X") + "(assert (>= Y[0,0] 1000.0))"
    assert ask(never, "--network", "f=f.onnx", capsys=capsys) == (["unsat"], "")
    empty = declared("f", "XY") + box("X") + "(assert (>= X[0,0] 2.0))"
    lines, noted = ask(empty, "--network", "f=f.onnx", capsys=capsys)
    assert lines == ["unsat"]
    assert "no input satisfies" in noted
    assert ask(never, "--network", "f=f.onnx", "--timeout", "0", capsys=capsys)[0] == ["timed-out"]
    open_ = declared("f", "XY") + box("X") + "(assert (and (<= X[0,0] Y[0,0]) (< Y[0,0] X[0,0])))"
    assert ask(open_, "--network", "f=f.onnx", "--method", "crown", capsys=capsys)[0] == ["unknown"]


def test_float32_is_claimed_only_where_it_is_proven(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A margin that rounding passes: proven of real numbers, and unknown of float32."""
    point = "".join(f"(assert (== X[0,{i}] 0.5))" for i in range(3))
    ask(declared("f", "XY") + point + "(assert (<= Y[0,0] 100.0))", "--network", "f=f.onnx", capsys=capsys)
    lines, _ = ask(declared("f", "XY") + point + "(assert (<= Y[0,0] 100.0))", "--network", "f=f.onnx", capsys=capsys)
    value = float(lines[lines.index("Y float32 [1,2]") + 1])
    for kind, word in (("real", "unsat"), ("float32", "unknown")):
        near = declared("f", "XY", kind=kind) + point + f"(assert (>= Y[0,0] {value + 5e-7 * abs(value):.12f}))"
        lines, noted = ask(near, "--network", "f=f.onnx", capsys=capsys)
        assert lines == [word]
        assert ("not shown for float32" in noted) == (word == "unknown")


def test_what_is_wrong_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = declared("f", "XY") + box("X") + "(assert (>= Y[0,0] 1000.0))"
    for options, words in (
        (["--network", "f"], "NAME=FILE.onnx is needed"),
        (["--network", "f=f.onnx", "--network", "f=g.onnx"], "two files are given"),
        (["--network", "g=f.onnx"], "the network f has no file"),
        (["--network", "f=f.onnx", "--json"], "--network goes with one property"),
        (["--serialise-assignments", "found"], "--network"),
    ):
        lines, said = ask(text, *options, capsys=capsys, code=2)
        assert not lines
        assert words in said
        assert said.count("\n") == 1


def test_names_of_networks() -> None:
    assert networks_of(["f=a=b.onnx", "g=c.onnx"]) == {"f": Path("a=b.onnx"), "g": Path("c.onnx")}
    with pytest.raises(InputError, match="NAME=FILE"):
        networks_of(["=x"])
