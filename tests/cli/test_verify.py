"""`surefoot verify` and `surefoot check`, as they are typed."""

import json
from pathlib import Path

import numpy as np
import pytest

from networks import random_network
from surefoot.cli.main import run
from surefoot.graph.onnx_out import write_onnx
from surefoot.verify.many import open_network
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network, a property that holds, one that is violated, and images."""
    monkeypatch.chdir(tmp_path)
    write_onnx(random_network(3), tmp_path / "net.onnx")
    network = open_network(tmp_path / "net.onnx")
    n = network.inputs
    x = np.full((3, n), 0.5, np.float32)
    y = network.run(x)
    names = [f"X_{i}" for i in range(n)] + [f"Y_{i}" for i in range(3)]
    text = "".join(f"(declare-const {name} Real)\n" for name in names)
    text += "".join(f"(assert (>= X_{i} 0.49))(assert (<= X_{i} 0.51))\n" for i in range(n))
    (tmp_path / "safe.vnnlib").write_text(text + f"(assert (<= Y_0 {y[0, 0] - 50}))")
    (tmp_path / "broken.vnnlib").write_text(text + f"(assert (<= Y_0 {y[0, 0] + 50}))")
    np.savez(tmp_path / "x.npz", x=x, y=np.array([0, 1, int(y[0].argmax())]))
    return tmp_path


def test_holds_with_a_certificate_that_others_can_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "safe.vnnlib", "--json", "--certificate", "proof.npz")
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "holds"
    assert "real" in answer["proven_for"]
    surefoot("check", "net.onnx", "safe.vnnlib", "proof.npz", "--json")
    valid = json.loads(capsys.readouterr().out)
    assert valid["valid"]
    surefoot("check", "proof.npz", "--json")
    assert json.loads(capsys.readouterr().out) == valid
    surefoot("check", "net.onnx", "broken.vnnlib", "proof.npz", code=2)
    assert "another property" in capsys.readouterr().err
    write_onnx(random_network(4), folder / "other.onnx")
    surefoot("check", "other.onnx", "safe.vnnlib", "proof.npz", code=2)
    assert "another network" in capsys.readouterr().err
    content = (folder / "proof.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(20):
        broken = bytearray(content)
        broken[int(rng.integers(len(broken)))] ^= 255
        (folder / "proof.npz").write_bytes(bytes(broken))
        with pytest.raises(SystemExit) as left:
            run(["check", "net.onnx", "safe.vnnlib", "proof.npz"])
        assert left.value.code in (0, 2, 3)
    capsys.readouterr()
    (folder / "proof.npz").write_bytes(content[:100])
    surefoot("check", "net.onnx", "safe.vnnlib", "proof.npz", code=3)


def test_violated_with_an_input_that_can_be_replayed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "broken.vnnlib", "--json", "--timeout", "5")
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "violated"
    x = np.array(answer["input"], dtype=np.float32)[None]
    assert np.array_equal(open_network("net.onnx").run(x)[0], answer["output"])
    surefoot("verify", "net.onnx", "broken.vnnlib")
    assert "seen in float32" in capsys.readouterr().out


def test_images_in_every_region(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (
        ("--eps", "1/255", "--jobs", "2", "--journal", "a.jsonl"),
        ("--region", "brighten", "--threshold", "0.4", "--delta", "0.9"),
        ("--region", "pixels", "--at", "0,1"),
        ("--region", "patch", "--at", "0,0,1"),
        ("--region", "line", "--towards", "x.npz", "--delta", "0.1"),
    ):
        surefoot("verify", "net.onnx", "--images", "x.npz", "--json", "--timeout", "5", *options)
        found = json.loads(capsys.readouterr().out)
        assert sum(found["counts"].values()) == 3
        assert found["images"][2]["verdict"] != "violated" or options[0] != "--eps"
    surefoot("verify", "net.onnx", "--images", "x.npz", "--eps", "0.001", "--first", "1")
    assert "certified accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["net.onnx"], 2, "give a property"),
        (["net.onnx", "safe.vnnlib", "--images", "x.npz"], 2, "give a property"),
        (["absent.onnx", "safe.vnnlib"], 3, "cannot read absent.onnx"),
        (["x.npz", "safe.vnnlib"], 3, "not an ONNX file"),
        (["net.onnx", "x.npz"], 3, "not a whole text"),
        (["net.onnx", "--images", "x.npz"], 2, "needs --eps"),
        (["net.onnx", "--images", "x.npz", "--eps", "much"], 2, "numbers such as 2/255"),
        (["net.onnx", "--images", "x.npz", "--eps", "0.1", "--range", "1,0"], 2, "must be below"),
        (["net.onnx", "--images", "x.npz", "--eps", "0.1", "--range", "0.6,1"], 2, "valid range is 0.6 to 1"),
        (["net.onnx", "--images", "x.npz", "--region", "line"], 2, "needs --towards"),
        (["net.onnx", "--images", "x.npz", "--region", "patch"], 2, "numbers such as"),
        (["net.onnx", "safe.vnnlib", "--method", "star", "--certificate", "p.npz"], 2, "leaves no certificate"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    surefoot("verify", *arguments, code=code)
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
