"""Constants are folded as ONNX Runtime folds them, and refused where runtimes may round otherwise."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from surefoot.core.errors import InputError
from surefoot.graph.onnx_constants import array_of, folded

A = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
WHOLE = np.array([[7, -3], [2, 5]], np.int64)
SAME = (
    ("Add", [A, A], {}), ("Mul", [WHOLE, WHOLE], {}), ("Sub", [A, A.T.copy()], {}), ("Neg", [A], {}),
    ("Transpose", [A], {}),
    ("Concat", [A, A], {"axis": 1}), ("Gather", [A, np.array([1, 0])], {"axis": 0}), ("Less", [A, A.T.copy()], {}),
    ("Div", [A, A], {}), ("Cast", [A], {"to": TensorProto.INT64}), ("Shape", [A], {}), ("Floor", [A], {}),
)  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "more"), SAME, ids=[op for op, _, _ in SAME])
def test_constants_are_folded_as_onnx_runtime_does(op: str, inputs: list[np.ndarray], more: dict) -> None:
    runtime = pytest.importorskip("onnxruntime")
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(op, names, ["y"], **more)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(names, inputs, strict=True)
    ]
    graph = helper.make_graph([node], "one", infos, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, dict(zip(names, inputs, strict=True)))
    (ours,) = folded(node, list(inputs), 17)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("op", "inputs", "more", "words"),
    [
        ("Div", [WHOLE, np.zeros_like(WHOLE)], {}, "divided by 0"),
        ("Cast", [np.array([np.nan], np.float32)], {"to": TensorProto.INT64}, "constant"),
        ("Cast", [np.array([1e30], np.float32)], {"to": TensorProto.INT64}, "cast to int64"),
        ("Cast", [A], {"to": TensorProto.FLOAT16}, "short numbers"),
        ("Mul", [A.astype(np.float16), A.astype(np.float16)], {}, "runtimes differ"),
        ("ReduceProd", [A], {}, "an order that runtimes choose"),
        ("Range", [np.array(x, np.float32) for x in (0.0, 1.0, 0.25)], {}, "store the result"),
        ("Softmax", [A], {}, "not one that surefoot folds"),
    ],
)
def test_what_runtimes_may_compute_otherwise_is_refused(
    op: str, inputs: list[np.ndarray], more: dict, words: str
) -> None:
    node = helper.make_node(op, [f"x{i}" for i in range(len(inputs))], ["y"], **more)
    with pytest.raises(InputError, match=words):
        folded(node, list(inputs), 17)


def test_a_damaged_constant_is_named() -> None:
    tensor = numpy_helper.from_array(A, "w")
    assert np.array_equal(array_of(tensor), A)
    tensor.raw_data = tensor.raw_data[:-1]
    with pytest.raises(InputError, match="'w' is damaged"):
        array_of(tensor)
    tensor = numpy_helper.from_array(A, "w")
    tensor.float_data.append(1.0)
    with pytest.raises(InputError, match="holds its values twice"):
        array_of(tensor)
