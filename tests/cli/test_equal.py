"""`surefoot equal`, as it is typed: bounds, counterexamples, answers and confidences."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from compressed_files import KINDS, moved, run
from planted import dense
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Relu
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import PolynomialNet
from surefoot.recalibrate import CALIBRATORS
from surefoot.recalibrate.files import save_calibrator
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_onnx(dense(0, KINDS, (16, 14)), tmp_path / "net.onnx")
    return tmp_path


def test_equal_within(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(moved(dense(0, KINDS, (16, 14)), 0.01), folder / "moved.onnx")
    for most, verdict, status in (("0.5", "equal", 0), ("0.0001", "different", 1)):
        given = ("--domain", "0,1", "--within", most, "--json", "-o", "x.npy")
        surefoot("equal", "net.onnx", "moved.onnx", *given, code=status)
        answer = json.loads(capsys.readouterr().out)
        assert answer["verdict"] == verdict
    x = np.load("x.npy")[None]
    assert np.allclose(answer["difference"], (run("net.onnx", x) - run("moved.onnx", x))[0], atol=1e-6)
    assert answer["output"] == answer["difference"]
    assert np.abs(run("net.onnx", x) - run("moved.onnx", x)).max() > 0.0001
    surefoot("equal", "net.onnx", "moved.onnx", "--domain", "0,1", "--within", "0", code=2)
    assert "a positive number is needed" in capsys.readouterr().err


def test_equal_says_for_how_many_images_the_answer_is_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_onnx(moved(dense(0, KINDS, (16, 14)), 0.003), folder / "moved.onnx")
    x = np.random.default_rng(1).random(size=(300, 5))
    np.savez("x.npz", x=x)
    surefoot("equal", "net.onnx", "moved.onnx", "--domain", "0,1", "--images", "x.npz", "--json")
    found = json.loads(capsys.readouterr().out)
    same = int((run("net.onnx", x).argmax(1) == run("moved.onnx", x).argmax(1)).sum())
    assert 0 < found["same_answer"] <= same
    assert found["met_in_float32"] == pytest.approx(found["met"], rel=1e-3)
    surefoot("equal", "net.onnx", "moved.onnx", "--domain", "0,1", "--images", "x.npz")
    assert f"for {found['same_answer']} of 300 inputs" in capsys.readouterr().out


def test_equal_bounds_calibrated_confidences(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(moved(dense(0, KINDS, (16, 14)), 0.003), folder / "moved.onnx")
    rng = np.random.default_rng(1)
    x = rng.random(size=(300, 5))
    np.savez("x.npz", x=x)
    logits = run("net.onnx", x).astype(np.float64)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    for method in ("temperature", "isotonic"):
        made = CALIBRATORS[method]().fit(logits, labels)
        save_calibrator(made, Path(f"{method}.json"))
        surefoot(
            "equal",
            "net.onnx",
            "moved.onnx",
            "--domain",
            "0,1",
            "--images",
            "x.npz",
            "--map",
            f"{method}.json",
            "--json",
        )
        found = json.loads(capsys.readouterr().out)
        met = np.abs(made.predict_proba(run("moved.onnx", x)) - made.predict_proba(run("net.onnx", x))).max()
        assert met <= found["calibrated_at_images"]
        assert ("calibrated" in found) == (method == "temperature")
    surefoot("equal", "net.onnx", "moved.onnx", "--domain", "0,1", "--map", "isotonic.json", code=2)
    assert "add --images" in capsys.readouterr().err


def test_other_answers_are_found_and_replayed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is the first input the larger, or the second? The other network leans to the second by a thousandth."""
    for name, prune_channels in (("plain.onnx", 0.0), ("leaning.onnx", 1e-3)):
        builder = GraphBuilder((2,))
        builder.add(Linear(torch.eye(2).double(), torch.tensor([0.0, prune_channels]).double()), 0)
        write_onnx(builder.build(), folder / name)
    surefoot("equal", "plain.onnx", "leaning.onnx", "--domain", "0,1", "--json", "-o", "x.npy")
    found = json.loads(capsys.readouterr().out)
    assert found["answers_differ"]
    assert found["bound"]["logits"] == pytest.approx(1e-3, rel=1e-3)
    x = np.load("x.npy")[None]
    assert run("plain.onnx", x).argmax() != run("leaning.onnx", x).argmax()


def test_equal_polynomials(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = PolynomialNet((5,), 3, "ccp", (2,), 6)
    graph = graph_of_module(model, torch.rand(1, 5))
    write_onnx(graph, folder / "one.onnx")
    write_onnx(graph, folder / "two.onnx", metadata={"other": "file"})
    surefoot("equal", "one.onnx", "two.onnx", "--domain=-1,1")
    assert "the same polynomial" in capsys.readouterr().out
    with torch.no_grad():
        model.get_parameter("layers.1.head.bias")[0] += 1e-3
    write_onnx(graph_of_module(model, torch.rand(1, 5)), folder / "two.onnx")
    surefoot("equal", "one.onnx", "two.onnx", "--domain=-1,1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["proven"]
    assert 0.0009 < found["met"] <= found["bound"]["logits"]


def test_answers_are_proven_to_be_the_same_where_the_first_is_sure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, lean in (("plain.onnx", 0.0), ("leaning.onnx", 0.1)):
        builder = GraphBuilder((2,))
        last = builder.add(Relu(), builder.add(Linear(torch.eye(2).double()), 0))
        builder.add(Linear(torch.eye(2).double(), torch.tensor([0.0, lean]).double()), last)
        write_onnx(builder.build(), folder / name)
    given = ("equal", "plain.onnx", "leaning.onnx", "--domain", "0,1", "--answer")
    surefoot(*given, "--json", "-o", "x.npy", code=1)
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "different"
    x = np.load("x.npy")[None]
    assert run("plain.onnx", x).argmax() != run("leaning.onnx", x).argmax()
    surefoot(*given, "--sure", "0.6")
    assert (
        "holds: the answer is the same for every input for which plain.onnx is sure to 0.6" in capsys.readouterr().out
    )
    surefoot(*given, code=1)
    assert "violated: an input has the answers 0 and 1" in capsys.readouterr().out
    for options, words in (
        (("--sure", "1.5"), "a confidence from 0 to below 1"),
        (("--within", "1"), "two questions: ask one"),
    ):
        surefoot(*given, *options, code=2)
        assert words in capsys.readouterr().err
    surefoot("equal", "plain.onnx", "leaning.onnx", "--domain", "0,1", "--sure", "0.5", code=2)
    assert "--sure belongs to --answer" in capsys.readouterr().err


def test_json_says_equal_different_or_unknown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(moved(dense(0, KINDS, (16, 14)), 0.01), folder / "moved.onnx")
    surefoot("equal", "net.onnx", "net.onnx", "--domain", "0,1", "--json")
    assert json.loads(capsys.readouterr().out)["verdict"] == "equal"
    surefoot("equal", "net.onnx", "moved.onnx", "--domain", "0,1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "different"
    assert 0 < found["largest_difference_seen"] <= found["bound"]["logits"]
    surefoot("equal", "net.onnx", "moved.onnx", "--domain", "0,1", "--within", "1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["largest_difference_seen"] <= found["bound"] < 1
