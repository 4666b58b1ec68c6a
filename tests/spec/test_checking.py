"""Certificates as files: honest ones are checked from Python too, and those of something else are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.compress import compress_file
from surefoot.core.errors import InputError
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MLP
from surefoot.proof.files import save_certificate
from surefoot.proof.question import certificate_of_property
from surefoot.spec import InputSet, check_equal_files, check_property_file
from surefoot.spec.checking import files_of_certificate
from surefoot.spec.vnnlib import read_vnnlib
from surefoot.verify import open_network
from surefoot.verify.several import answer_all


def network(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    write_onnx(graph_of_module(MLP((3,), 2, widths=(6,)).eval(), torch.zeros(2, 3)), path)
    return path


def unsafe(path: Path, output: float) -> Path:
    names = "".join(f"(declare-const {n} Real)\n" for n in ("X_0", "X_1", "X_2", "Y_0", "Y_1"))
    box = "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))\n" for i in range(3))
    path.write_text(f"{names}{box}(assert (>= Y_0 {output}))")
    return path


def test_a_property_is_checked_and_no_other_network_or_property(tmp_path: Path) -> None:
    net, prop = network(tmp_path / "net.onnx", 0), unsafe(tmp_path / "p.vnnlib", 50)
    opened = open_network(net)
    verdict, proofs = answer_all(opened, read_vnnlib(prop, 3, 2), 5.0, "auto", 0, prove=True)
    assert proofs, verdict
    save_certificate(tmp_path / "proof.npz", certificate_of_property(opened.graph, proofs, (net, prop)))
    checked = check_property_file(net, prop, tmp_path / "proof.npz")
    assert checked.parts >= 1
    assert 0 < checked.margin < 60
    assert files_of_certificate(tmp_path / "proof.npz") == (net, prop)
    with pytest.raises(InputError, match="another network"):
        check_property_file(network(tmp_path / "other.onnx", 1), prop, tmp_path / "proof.npz")
    with pytest.raises(InputError, match="does not prove"):
        check_property_file(net, unsafe(tmp_path / "q.vnnlib", 49), tmp_path / "proof.npz")


def test_a_difference_is_checked_with_the_domain_it_holds_for(tmp_path: Path) -> None:
    net, domain = network(tmp_path / "net.onnx", 0), InputSet(np.zeros(3), np.ones(3))
    report = compress_file(net, tmp_path / "small.onnx", domain, certificate=tmp_path / "proof.npz")
    checked = check_equal_files(net, tmp_path / "small.onnx", tmp_path / "proof.npz")
    assert checked.logits <= report.bound + 1e-9
    assert checked.domain.lower.tolist() == [0, 0, 0]
    with pytest.raises(InputError, match=r"another network|does not show"):
        check_equal_files(net, network(tmp_path / "other.onnx", 1), tmp_path / "proof.npz")
