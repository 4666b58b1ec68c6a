"""`--shape`: sides that a file leaves open, fixed batches and several inputs, from the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from surefoot.cli.options import shapes_of
from surefoot.core.errors import InputError
from typed import surefoot


def save(path: Path, nodes: list[Any], inputs: dict[str, list[Any]], **constants: np.ndarray) -> Path:
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = [helper.make_node(op, given, results, **more) for op, given, results, more in nodes]
    model = helper.make_model(
        helper.make_graph(made, "g", infos, [out], held), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


def prop(path: Path, inputs: int, bound: float) -> Path:
    names = [f"(declare-const X_{i} Real)" for i in range(inputs)] + ["(declare-const Y_0 Real)"]
    box = [f"(assert (>= X_{i} -1))(assert (<= X_{i} 1))" for i in range(inputs)]
    path.write_text("\n".join([*names, *box, f"(assert (>= Y_0 {bound}))"]))
    return path


Capture = pytest.CaptureFixture[str]


def answer_to(capsys: Capture, *arguments: object) -> tuple[dict[str, Any], str]:
    surefoot("verify", *map(str, arguments), "--json")
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_a_fixed_batch_is_one_row_or_declared_whole(tmp_path: Path, capsys: Capture) -> None:
    net = save(tmp_path / "n.onnx", [("ReduceMax", ["x"], ["y"], {"axes": [1], "keepdims": 1})], {"x": [4, 2]})
    one, whole = prop(tmp_path / "1.vnnlib", 2, 1.5), prop(tmp_path / "4.vnnlib", 8, 1.5)
    proof = tmp_path / "p.npz"
    answer, said = answer_to(capsys, net, one, "--method", "alpha-crown", "--certificate", proof)
    assert answer["verdict"] == "holds"
    assert answer["inputs"] == [{"name": "x", "shape": [2], "first": 0, "rows": 4}]
    assert "of a batch of 4 rows, which do not meet, one is read; --shape x=4,2 makes all of them one" in said
    surefoot("check", str(net), str(one), str(proof))
    surefoot("verify", str(net), str(whole), code=2)
    capsys.readouterr()
    answer, said = answer_to(capsys, net, whole, "--shape", "x=4,2")
    assert answer["verdict"] == "holds"
    assert "inputs" not in answer
    assert "rows" not in said


def test_several_inputs_are_numbered_one_after_another(tmp_path: Path, capsys: Capture) -> None:
    nodes = [("Sub", ["a", "b"], ["d"], {}), ("ReduceSum", ["d", "axes"], ["y"], {})]
    net = save(tmp_path / "n.onnx", nodes, {"a": [1, 2], "b": ["n", 2]}, axes=np.array([1]))
    answer, said = answer_to(capsys, net, prop(tmp_path / "p.vnnlib", 4, 3.5))
    assert answer["verdict"] == "violated"
    assert answer["input"][0] > 0.5 > -0.5 > answer["input"][3]
    assert [one["first"] for one in answer["inputs"]] == [0, 2]
    assert "the values of X are those of a (2), b (2), one after another" in said


def test_open_sides_are_declared(tmp_path: Path, capsys: Capture) -> None:
    net = save(tmp_path / "n.onnx", [("ReduceMax", ["x"], ["y"], {"axes": [1]})], {"x": ["n", "m"]})
    asked = prop(tmp_path / "p.vnnlib", 3, 1.5)
    surefoot("verify", str(net), str(asked), code=2)
    assert "has the open sides ['n', 'm']: say how long they are, as in --shape x=1,1" in capsys.readouterr().err
    assert answer_to(capsys, net, asked, "--shape", "x=1,3")[0]["verdict"] == "holds"


@pytest.mark.parametrize("text", ["x", "=1,2", "x=1,b", "x=", "x=1.5"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--shape"):
        shapes_of([text])
    assert shapes_of(["a=b=1,2"]) == {"a=b": (1, 2)}
    assert shapes_of(None) == {}
