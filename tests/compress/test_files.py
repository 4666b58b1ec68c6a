"""Files that are compressed: components and channels go, and the bound holds of what is written."""

from pathlib import Path

import pytest
import torch

from networks import samples
from pruned import ccp, residual, unit
from surefoot.compress.file_equality import read_logits
from surefoot.compress.files import compress_file
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.spec.input_set import InputSet


def test_files_of_polynomial_networks_lose_components(tmp_path: Path) -> None:
    graph = ccp(0, exported=True)
    write_onnx(graph.to(torch.float32), tmp_path / "net.onnx")
    report = compress_file(tmp_path / "net.onnx", tmp_path / "small.onnx", InputSet.of(*unit(graph)))
    assert report.units == (12, 6)
    assert report.parameters[1] < report.parameters[0]
    assert report.bound < 1e-5
    assert report.met <= report.bound + 1e-5
    low, high = unit(graph)
    x = samples(low.numpy(), high.numpy(), graph, 100, 1)
    one, two = (evaluate(read_logits(tmp_path / f"{name}.onnx"), x) for name in ("net", "small"))
    assert float((one - two).abs().max()) <= report.bound
    again = compress_file(tmp_path / "small.onnx", tmp_path / "smaller.onnx", InputSet.of(low, high))
    assert again.sentence.startswith("Nothing changed: of the products none")
    domain = InputSet.of(low, high)
    with pytest.raises(InputError, match="Leave it out"):
        compress_file(tmp_path / "net.onnx", tmp_path / "s.onnx", domain, certificate=tmp_path / "p.npz")


def test_networks_too_large_for_forms_lose_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.proof.affine_forms.LARGEST", 100)
    graph = residual(3, ((1,), (1,)))
    write_onnx(graph.to(torch.float32), tmp_path / "net.onnx")
    report = compress_file(tmp_path / "net.onnx", tmp_path / "small.onnx", InputSet.of(*unit(graph)), seconds=0.1)
    assert report.units[1] < report.units[0]
    assert report.bound < 1e-4
    assert report.met <= report.bound + 1e-5
