"""`surefoot certify`, as it is typed."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Relu
from surefoot.recalibrate import TemperatureScaling, save_calibrator
from surefoot.verify.many import open_network
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_onnx(random_network(3), tmp_path / "net.onnx")
    network = open_network(tmp_path / "net.onnx")
    x = np.random.default_rng(0).uniform(0, 1, (4, network.inputs)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=network.run(x).argmax(1))
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(300, 3))
    fitted = TemperatureScaling().fit(logits, (logits + rng.gumbel(size=logits.shape)).argmax(1))
    save_calibrator(fitted, tmp_path / "map.json")
    return tmp_path


def test_bands_widen_and_the_page_is_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--images", "x.npz", "--eps", "0,0.01,0.05", "--map", "map.json")
    surefoot("certify", "net.onnx", *options, "--page", "p.html", "--pictures", "2", "--json")
    radii = json.loads(capsys.readouterr().out)
    assert [r["eps"] for r in radii] == [0, 0.01, 0.05]
    assert radii[0]["summary"]["accuracy"] == [1.0, 1.0]
    widths = [r["summary"]["mean_confidence"][1] - r["summary"]["mean_confidence"][0] for r in radii]
    assert widths[0] < 1e-6
    assert widths == sorted(widths)
    text = (folder / "p.html").read_text()
    assert "image 1, true class" in text
    assert text.count("plotly-graph-div") >= 4 + 2 * 2
    surefoot("certify", "net.onnx", *options, "--first", "1")
    assert "mean confidence" in capsys.readouterr().out


def test_one_radius_is_no_curve_and_flat_inputs_are_no_pictures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = GraphBuilder((4,))
    hidden = builder.add(Relu(), builder.add(Linear(torch.eye(4).double()), 0))
    builder.add(Linear(torch.eye(3, 4).double() * 4), hidden)
    write_onnx(builder.build().to(torch.float32), folder / "flat.onnx")
    x = np.array([[0.9, 0.2, 0.1, 0.5], [0.5, 0.52, 0.1, 0.5], [0.2, 0.9, 0.1, 0.0]], np.float32)
    np.savez(folder / "flat.npz", x=x, y=np.array([0, 1, 0]))
    surefoot("certify", "flat.onnx", "--images", "flat.npz", "--eps", "0.05", "--page", "p.html", "--pictures", "3")
    capsys.readouterr()
    text = (folder / "p.html").read_text()
    body = text[text.index("<body") :]
    assert body.count('class="plotly-graph-div"') == 3 * 2 + 2  # bars and outputs; wrong outputs of two
    for absent in ("the image", "the counterexample", "Between the curves", "band-accuracy", "Violated"):
        assert absent not in body, absent
    assert "At radius 0.05 these are certain: accuracy " in body
    assert "Every input of the region is predicted as class 0, with a confidence of " in body
    assert "Predicted as class 1, but an input of the region is predicted as class 0; " in body
    assert "Predicted as class 1, though its class is 0; " in body


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("certify", "net.onnx", "--images", "x.npz", "--eps", "a", code=2)
    surefoot("certify", "net.onnx", "--images", "x.npz", "--eps", "0.1", "--range", "0.5,1", code=2)
    surefoot("certify", "net.onnx", "--images", "absent.npz", "--eps", "0.1", code=3)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_the_table_claims_no_more_than_is_proven(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    options = ("--images", "x.npz", "--eps", "0,0.0003,0.01")
    surefoot("certify", "net.onnx", *options, "--json")
    radii = json.loads(capsys.readouterr().out)
    surefoot("certify", "net.onnx", *options)
    lines = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    for radius, line in zip(radii, lines, strict=True):
        proven = [radius["summary"][name] for name in ("accuracy", "mean_confidence", "brier", "ece")]
        for (low, high), cell in zip(proven, line.split("│")[2:6], strict=True):
            scale = 100 if "%" in cell else 1
            ends = [Fraction(end.rstrip("%")) for end in cell.strip().split(" to ")]  # one where both print the same
            assert ends[0] <= scale * Fraction(low) <= scale * Fraction(high) <= ends[-1]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("region", "sizes"),
    [
        (("--region", "line", "--towards", "other.npz", "--delta", "1e-3,1e-6", "--start", "0.5"), [1e-6, 1e-3]),
        (("--region", "brighten", "--threshold", "0.5", "--delta", "0.01"), [0.01]),
        (("--region", "pixels", "--at", "0,2"), [None]),
        (("--region", "patch", "--at", "0,0,1"), [None]),
    ],
)
def test_confidence_over_other_regions(
    region: tuple[str, ...], sizes: list[float | None], capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.load("x.npz")["x"]
    np.savez("other.npz", x=1 - x, y=np.zeros(4, int))
    surefoot("certify", "net.onnx", "--images", "x.npz", *region, "--json")
    found = json.loads(capsys.readouterr().out)
    assert [r["eps"] for r in found] == sizes
    assert all(0 <= r["summary"]["mean_confidence"][0] <= r["summary"]["mean_confidence"][1] <= 1 for r in found)
    surefoot("certify", "net.onnx", "--images", "x.npz", *region)
    assert "mean confidence" in capsys.readouterr().out
    surefoot("certify", "net.onnx", "--images", "x.npz", *region, "--page", "p.html", code=2)
    assert "--page shows balls" in capsys.readouterr().err
    surefoot("certify", "net.onnx", "--images", "x.npz", *region, "--eps", "0.1", code=2)
    assert "--eps does not go with" in capsys.readouterr().err
