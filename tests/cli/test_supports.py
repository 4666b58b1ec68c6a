"""`surefoot supports`, as the VNN-LIB 2.0 standard has solvers say it: what is said is so."""

import pytest

from onnx_models import model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import SUPPORTED, opset_of
from typed import surefoot


def said(capsys: pytest.CaptureFixture[str], capability: str) -> list[str]:
    surefoot("supports", f"--{capability}")
    return capsys.readouterr().out.splitlines()


def test_capabilities(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "vnnlib-versions") == ["1.0", "2.0"]
    assert said(capsys, "onnx-element-types") == ["real", "float32"]
    assert said(capsys, "multiple-network-theories") == ["SNET", "MENET", "MINET", "MNET"]
    assert said(capsys, "hidden-node-theories") == ["NH", "H"]
    assert said(capsys, "arithmetic-complexity-theories") == ["BND", "OUTC", "LIN"]
    for name in ("serialise-assignments", "unsat-proofs", "optimised-disjunctive-reasoning"):
        assert said(capsys, name) in (["true"], ["false"])


def test_operators_are_those_that_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "onnx-operators")
    assert {line.split()[0] for line in lines} == SUPPORTED
    assert "Relu" in lines
    assert "Sigmoid real" in lines


def test_the_oldest_opset_is_read_and_none_before(capsys: pytest.CaptureFixture[str]) -> None:
    oldest, newest = map(int, said(capsys, "onnx-opset-versions"))
    assert opset_of(model_of([], {}, [1], oldest)) == oldest < newest
    with pytest.raises(InputError, match="too old"):
        opset_of(model_of([], {}, [1], oldest - 1))


def test_one_capability_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("supports", code=2)
    assert "name one capability" in capsys.readouterr().err
