"""`surefoot regions`, as it is typed."""

import json
from pathlib import Path

import numpy as np
import pytest

from compressed_files import run
from planted import dense
from surefoot.graph.onnx_out import write_onnx
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_regions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(dense(0, (), (6, 6), 2), folder / "tiny.onnx")
    x = np.random.default_rng(0).random((6, 2))
    np.savez("x.npz", x=x)
    given = (
        "tiny.onnx",
        "--domain",
        "0,1",
        "--images",
        "x.npz",
        "--count",
        "--around",
        "2",
        "--two-layers",
        "two.onnx",
    )
    surefoot("regions", *given, "--page", "page.html", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["drawn"] >= 1
    assert 1 <= found["regions"] <= int(found["at_most"])
    assert 0.95 < found["two_layers"]["exact_share"] <= 1
    region = np.load("region.npz")
    assert np.abs(region["weight"] @ x[2] + region["offset"] - run("tiny.onnx", x[2:3])[0]).max() < 1e-5
    assert (region["rows"] @ x[2] + region["offsets"] >= 0).all()
    points = np.random.default_rng(1).random((500, 2))
    gaps = np.abs(run("two.onnx", points) - run("tiny.onnx", points)).max(1)
    assert (gaps < 1e-2).mean() > 0.95
    text = (folder / "page.html").read_text()
    assert f"{found['drawn']} linear regions" in text
    surefoot("regions", *given)
    out = capsys.readouterr().out
    assert f"exactly {found['regions']} linear regions" in out
    surefoot("regions", "tiny.onnx", "--domain", "0,1", "--page", "page.html", code=2)
    surefoot("regions", "tiny.onnx", "--domain", "0,1", "--images", "x.npz", "--around", "9", code=2)
    surefoot("regions", "tiny.onnx", "--domain", "0,1", "--count", "--most", "1", code=2)
    assert "more than 1 regions" in capsys.readouterr().err
