"""Small ONNX networks that tests share, and how to run one."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")


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


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> Any:
    """Run a network in ONNX Runtime; return its first output."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def logits_and_labels(k: int = 5, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits (n, k) that are over-confident, and labels (n,)."""
    rng = np.random.default_rng(0)
    logits = (4 * rng.normal(size=(n, k))).astype(np.float32)
    return logits, (logits / 2 + rng.gumbel(size=(n, k))).argmax(1)
