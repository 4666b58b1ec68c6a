"""ONNX models of a few nodes, and what ONNX Runtime says of them."""

from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import onnx_of_graph

OneOp: TypeAlias = tuple[list[onnx.NodeProto], dict[str, np.ndarray], list[int], int]


def add_case(
    cases: dict[str, OneOp], name: str, op: str, shape: list[int], opset: int = 17,
    constants: dict[str, np.ndarray] | None = None, **attributes: Any,
) -> None:  # fmt: skip
    """Add a model of one node: its input, then constants."""
    given = constants or {}
    cases[name] = ([helper.make_node(op, ["x", *given], ["y"], **attributes)], given, shape, opset)


def model_of(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int], opset: int = 17
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def runtime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def agree(model: onnx.ModelProto, shape: list[int], tolerance: float = 1e-5) -> Graph:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    graph = graph_of_onnx(model)
    ours = evaluate(graph, torch.from_numpy(x).double().reshape(1, *graph.input_shape)).numpy()
    theirs = runtime(model, x)
    assert ours.size == theirs.size
    assert np.allclose(ours.ravel(), theirs.ravel(), atol=tolerance)
    back = onnx_of_graph(graph)
    assert np.allclose(runtime(back, x.reshape(1, *graph.input_shape)).ravel(), theirs.ravel(), atol=tolerance)
    return graph


def array(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def small(nodes: list[Any], weight: np.ndarray, width: str | int = "c", **constants: Any) -> onnx.ModelProto:
    """Make a network: x @ weight is `l`; nodes lead from it to `y`."""
    held = {"W": weight.astype(np.float32)} | constants
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["l"]), *(helper.make_node(*node, **more) for *node, more in nodes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        initializer=[numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def logits_and_labels(k: int = 5, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits (n, k) that are over-confident, and labels (n,)."""
    rng = np.random.default_rng(0)
    logits = (4 * rng.normal(size=(n, k))).astype(np.float32)
    return logits, (logits / 2 + rng.gumbel(size=(n, k))).argmax(1)
