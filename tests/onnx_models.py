"""ONNX models of a few nodes, and what ONNX Runtime says of them."""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import onnx_of_graph


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
