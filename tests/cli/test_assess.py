"""`surefoot assess`: the flow on a small network."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from assessed import ASSESS, network, network_and_rows
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Relu
from surefoot.metrics import Reading
from surefoot.recalibrate.auto import LADDER
from surefoot.report.readings import show_floor, show_interval
from typed import call, surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    network_and_rows(tmp_path)
    return tmp_path


def test_the_flow_leaves_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot(*ASSESS)
    said = capsys.readouterr().out
    assert "over-confident" in said
    assert "12 units became 8" in said
    found = json.loads((folder / "out" / "assessment.json").read_text())
    assert found["schema"] == "surefoot.assessment/1"
    assert found["direction"] == "over-confident"
    assert (
        found["evaluation"]["after"]["readings"]["nll"]["value"]
        < found["evaluation"]["before"]["readings"]["nll"]["value"]
    )
    assert {"predicted class", "confidence", "group"} == set(found["by"])
    assert [r["eps"] for r in found["certified"]] == [0, 0.005, 0.02]
    lows = [r["summary"]["accuracy"][0] for r in found["certified"]]
    assert lows == sorted(lows, reverse=True)
    card = (folder / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: onnx")
    measured = (
        "Measured on test.npz, rows that the calibrator did not see; whether the network was trained on them is not"
    )
    for place in (said, card, (folder / "out" / "report.html").read_text()):
        assert measured in place
        assert "neither training" not in place
    reading = Reading(**found["evaluation"]["after"]["readings"]["ece"])
    assert show_floor("ece", reading) in card
    assert show_interval("ece", reading) in card
    assert "takes any number of inputs at a time" in card
    assert found["paragraph"] in card
    assert (folder / "out" / "report.html").stat().st_size < 5e6
    for name in ("map.json", "calibrated.onnx", "small.onnx", "predictions.parquet"):
        assert (folder / "out" / name).exists()
    surefoot("measure", "out/predictions.parquet", "--split", "test", "--map", "out/map.json")


def test_a_network_of_probabilities(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network(folder / "probs.onnx", softmax=True)
    surefoot("assess", "probs.onnx", "--images", "test.npz", "--eps", "0", "--certify", "2", "-o", "out", "--json")
    found = json.loads(capsys.readouterr().out)
    assert "probabilities" in found["reasons"]["export"]
    assert found["certified"] is not None


def test_without_images_it_says_which_data_set_it_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The digits are pictures of (1, 8, 8); a network of 64 flat inputs takes them for its domain, too."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder((64,))
    hidden = builder.add(Linear(torch.from_numpy(rng.normal(size=(6, 64))), torch.full((6,), -1.0).double()), 0)
    out = Linear(torch.from_numpy(rng.normal(size=(10, 6))), torch.zeros(10).double())
    builder.add(out, builder.add(Relu(), hidden))
    write_onnx(builder.build().to(torch.float32), folder / "digits.onnx")
    with_fixed_batch(folder / "digits.onnx")
    surefoot("assess", "digits.onnx", "--eps", "0", "--certify", "2", "-o", "out")
    said = capsys.readouterr().out
    card, page = ((folder / "out" / name).read_text() for name in ("README.md", "report.html"))
    for place in (said, card, page):
        assert "Measured on the test part of the data set digits, rows that the calibrator did not see" in place
    assert "not done" not in said
    assert "takes 1 input at a time, as the network does" in card


def with_fixed_batch(path: Path) -> None:
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, path)


def test_what_auto_picks_is_certified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot(*ASSESS)
    capsys.readouterr()
    for name in LADDER:
        surefoot("recalibrate", "out/predictions.parquet", "--method", name, "-o", f"{name}.json")
        surefoot(
            "certify", "net.onnx", "--images", "test.npz", "--first", "2", "--eps", "0.01", "--map", f"{name}.json"
        )
    assert "radius" in capsys.readouterr().out


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("other.npz", x=np.zeros((5, 7), dtype=np.float32), y=np.zeros(5, dtype=int))
    np.savez("nan.npz", x=np.full((5, 6), np.nan, dtype=np.float32), y=np.zeros(5, dtype=int))
    np.savez("one.npz", x=np.zeros((1, 6), dtype=np.float32), y=np.zeros(1, dtype=int))
    np.savez("label.npz", x=np.full((9, 6), 0.5, dtype=np.float32), y=np.full(9, 7))
    for arguments, words in (
        (("net.onnx", "--images", "other.npz", "--range", "0,1"), "does not take inputs of shape"),
        (("net.onnx", "--images", "nan.npz"), "input 0 holds a value that is not finite"),
        (("net.onnx", "--images", "one.npz"), "cannot be divided"),
        (("net.onnx", "--images", "label.npz", "--range", "0,1"), "label"),
        (("none.onnx", "--images", "test.npz"), "no such file"),
        (("--images", "test.npz"), "needs a network"),
        (("net.onnx", "--images", "test.npz", "--range", "1,0"), "the first must be below"),
    ):
        code, _, err = call(capsys, "assess", *arguments, "-o", "out")
        assert code in (2, 3)
        assert words in err, err
