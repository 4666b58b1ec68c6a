"""Recurrent layers are what ONNX Runtime computes, at every step and at their ends."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from onnx_models import array, runtime
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import graph_of_onnx, reading_of_onnx
from surefoot.spec.opening import open_onnx

STEPS, WIDTH, SIZE = 4, 3, 2
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OUTPUTS = ("y", "y_h", "y_c")


def layer(op: str, output: str, batch: int = 1, given: tuple[str, ...] = (), **more: Any) -> Any:
    ways = 2 if more.get("direction") == "bidirectional" else 1
    rows = GATES[op] * SIZE
    constants = {
        "w": array(ways, rows, WIDTH),
        "r": array(ways, rows, SIZE, seed=2),
        "b": array(ways, 2 * rows, seed=3),
    }
    constants |= {name: array(ways, batch, SIZE, seed=4) for name in given}
    inputs = ["x", "w", "r", "b", "", *given] if given else ["x", "w", "r", *(["b"] if more.pop("bias", True) else [])]
    results = [*OUTPUTS[: 3 if op == "LSTM" else 2]]
    nodes = [helper.make_node(op, inputs, results, hidden_size=SIZE, **more)]
    graph = helper.make_graph(
        nodes, "steps", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, batch, WIDTH])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def agree(model: Any, batch: int) -> None:
    x = array(STEPS, batch, WIDTH, seed=5)
    reading = reading_of_onnx(model)
    ours = evaluate(reading.graph, torch.from_numpy(x).double().reshape(1, *reading.graph.input_shape)).numpy()
    theirs = runtime(model, x)
    assert np.allclose(ours.ravel(), theirs.ravel(), atol=1e-5)
    known: Any = reading.known[model.graph.output[0].name]
    assert known.full == theirs.shape


@pytest.mark.parametrize(
    ("op", "output", "direction", "batch"),
    list(itertools.product(GATES, OUTPUTS, ("forward", "reverse", "bidirectional"), (1, 2))),
)
def test_every_layer_is_what_the_runtime_computes(op: str, output: str, direction: str, batch: int) -> None:
    if output != "y_c" or op == "LSTM":
        agree(layer(op, output, batch, direction=direction), batch)


@pytest.mark.parametrize("op", GATES)
def test_they_come_through_the_door(tmp_path: Path, op: str) -> None:
    onnx.save(layer(op, "y", 2, direction="bidirectional"), tmp_path / "net.onnx")
    assert open_onnx(tmp_path / "net.onnx").graph.input_shape == (STEPS, 2, WIDTH)


def test_what_else_a_layer_may_have() -> None:
    agree(layer("GRU", "y", linear_before_reset=1), 1)
    agree(layer("RNN", "y_h", activations=["Relu"]), 1)
    agree(layer("LSTM", "y_h", 2, ("h", "c")), 2)
    agree(layer("RNN", "y", bias=False), 1)


def test_what_is_not_read_is_named() -> None:
    with pytest.raises(InputError, match=r"its activations \['Sigmoid'\] are not read"):
        graph_of_onnx(layer("RNN", "y", activations=["Sigmoid"]))
    with pytest.raises(InputError, match="its attribute 'clip'"):
        graph_of_onnx(layer("RNN", "y", clip=1.0))
