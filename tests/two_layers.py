"""A small network file with hidden values that can be named, and VNN-LIB 2.0 declarations of it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def two_layers(path: Path, seed: int, outputs: tuple[str, ...] = ("y",), kind: int = TensorProto.FLOAT) -> Path:
    """Write h = relu(x a), y = h b, z = h - 1 of an input (1, 3) and hidden values (1, 4)."""
    rng = np.random.default_rng(seed)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    held = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=(4, 2)), "one": np.ones(1)}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["s"]), helper.make_node("Relu", ["s"], ["h"]),
        helper.make_node("MatMul", ["h", "b"], ["y"]), helper.make_node("Sub", ["h", "one"], ["z"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, ["n", 3])],
        [helper.make_tensor_value_info(name, kind, ["n", 2 if name == "y" else 4]) for name in outputs],
        [numpy_helper.from_array(value.astype(dtype), name) for name, value in held.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def box(name: str, low: float = -1.0, high: float = 1.0) -> str:
    return "".join(f"(assert (and (>= {name}[0,{i}] {low}) (<= {name}[0,{i}] {high})))" for i in range(3))


def declared(name: str, letters: str, more: str = "", hidden: str = "", kind: str = "float32") -> str:
    x, y = letters
    return (
        f"(declare-network {name} {more} (declare-input {x} {kind} [1,3]) {hidden} (declare-output {y} {kind} [1,2]))"
    )
