"""Operations that step are what ONNX Runtime computes, also at and beside their jumps."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from onnx_models import OneOp, add_case, agree, array, model_of, runtime
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import graph_of_onnx

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
for op in ("Sign", "Floor", "Ceil", "Round"):
    case(op, op, IMAGE)
case("shrink", "Shrink", IMAGE, lambd=0.25, bias=0.125)
case("soft-shrink", "Shrink", IMAGE, lambd=0.25, bias=0.25)
case("thresholded", "ThresholdedRelu", IMAGE, alpha=0.5)
Named = tuple[str, list[str], list[str], dict[str, Any]]


def several(name: str, steps: list[Named], shape: list[int], **constants: np.ndarray) -> None:
    """Add a model of several nodes."""
    nodes = [helper.make_node(op, given, out, **more) for op, given, out, more in steps]
    ONE_OP[name] = (nodes, constants, shape, 17)


HALF: Named = ("Slice", ["x", "0", "3", "1"], ["a"], {})
OTHER: Named = ("Slice", ["x", "3", "6", "1"], ["b"], {})
CUT = {str(i): np.array([i]) for i in (0, 1, 3, 6)}
REAL: Named = ("Cast", ["t"], ["y"], {"to": TensorProto.FLOAT})
for op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"):
    several(f"{op}-two", [HALF, OTHER, (op, ["a", "b"], ["t"], {}), REAL], [1, 6], **CUT)
    several(f"{op}-constant", [(op, ["x", "c"], ["t"], {}), REAL], [1, 6], c=np.round(array(6)))
    several(f"{op}-from-constant", [(op, ["c", "x"], ["t"], {}), REAL], [1, 6], c=np.zeros((), np.float32))
for op in ("And", "Or", "Xor"):
    signs: list[Named] = [("Greater", ["a", "z"], ["s"], {}), ("Less", ["b", "z"], ["r"], {})]
    ZERO = {"z": np.zeros((), np.float32)}
    several(op, [HALF, OTHER, *signs, (op, ["s", "r"], ["t"], {}), REAL], [1, 6], **CUT, **ZERO)
    several(f"{op}-constant", [HALF, signs[0], (op, ["s", "m"], ["t"], {}), REAL], [1, 6], **CUT, **ZERO,
            m=np.array([True, False, True]))  # fmt: skip
several("Not", [("Greater", ["x", "z"], ["s"], {}), ("Not", ["s"], ["t"], {}), REAL], [1, 6], **ZERO)
for kind in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL):
    several(f"cast-{kind}", [("Cast", ["x"], ["t"], {"to": kind}), REAL], [1, 6])
several("cast-whole", [("Greater", ["x", "z"], ["m"], {}), ("Cast", ["m"], ["t"], {"to": TensorProto.INT64}), REAL],
        [1, 6], **ZERO)  # fmt: skip
for op in ("ArgMax", "ArgMin"):
    several(op, [(op, ["x"], ["t"], {"axis": 1, "keepdims": 0}), REAL], [1, 6])
    several(f"{op}-image", [(op, ["x"], ["t"], {"axis": 2}), REAL], IMAGE)
    several(f"{op}-last", [(op, ["x"], ["t"], {"axis": -1, "select_last_index": 1}), REAL], IMAGE)
QUANTIZED = {"s": np.array(0.03, np.float32), "q": np.array(7, np.uint8)}
BACK: Named = ("DequantizeLinear", ["t", "s", "q"], ["y"], {})
several("quantize", [("QuantizeLinear", ["x", "s", "q"], ["t"], {}), BACK], [1, 6], **QUANTIZED)
several("quantize-signed", [("QuantizeLinear", ["x", "s", "q"], ["t"], {}), BACK], [1, 6],
        s=np.array(0.01, np.float32), q=np.array(0, np.int8))  # fmt: skip
several("one-hot", [("ArgMax", ["x"], ["i"], {"axis": 1}), ("OneHot", ["i", "d", "v"], ["y"], {})], [1, 4],
        d=np.array(4), v=np.array([0.5, 2.0], np.float32))  # fmt: skip


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize("name", [name for name, (_, _, shape, _) in ONE_OP.items() if shape == [1, 6]])
def test_ties_and_jumps_are_where_the_runtime_has_them(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    model = model_of(nodes, constants, shape, opset)
    graph = graph_of_onnx(model)
    rng = np.random.default_rng(0)
    for step in (0.5, 1.0, 0.25):
        x = (step * rng.integers(-5, 6, shape)).astype(np.float32)
        x = np.where(rng.random(shape) < 0.3, np.nextafter(x, np.float32(rng.choice([-9, 9]))), x)
        ours = evaluate(graph, torch.from_numpy(x).double().reshape(1, *graph.input_shape)).numpy()
        assert np.allclose(ours.ravel(), runtime(model, x).ravel(), atol=1e-6)


def test_weights_that_are_kept_as_bytes_are_exact() -> None:
    weight, scale = np.arange(-12, 12, dtype=np.int8).reshape(4, 6), np.array([0.1, 0.3, 0.7, 2.0], np.float32)
    zero = np.array([0, 1, -3, 4], np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=0),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    agree(model_of(nodes, {"w": weight, "s": scale, "z": zero}, [1, 4]), [1, 4])


@pytest.mark.parametrize(
    ("steps", "constants", "said"),
    [
        ([("Cast", ["x"], ["t"], {"to": TensorProto.FLOAT16}), REAL], {}, "a cast to short numbers rounds"),
        ([("QuantizeLinear", ["x", "s", "q"], ["t"], {}), REAL],
         {"s": np.ones(6, np.float32), "q": np.zeros(6, np.uint8)}, "one scale"),
        ([("Floor", ["x"], ["f"], {}), ("Cast", ["f"], ["t"], {"to": TensorProto.INT64}),
          ("Div", ["t", "n"], ["y"], {})], {"n": np.array(2)}, "whole numbers are divided"),
        ([("ArgMax", ["x"], ["y"], {"axis": 0})], {}, "the rows of the batch"),
        ([("OneHot", ["x", "d", "v"], ["y"], {})], {"d": np.array(4), "v": np.zeros(2, np.float32)}, "whole numbers"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(steps: list[Named], constants: dict[str, np.ndarray], said: str) -> None:
    nodes = [helper.make_node(op, given, out, **more) for op, given, out, more in steps]
    with pytest.raises(InputError, match=said):
        graph_of_onnx(model_of(nodes, constants, [1, 6]))
