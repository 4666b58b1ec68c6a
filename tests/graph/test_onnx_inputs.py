"""What a network is given: fixed batches as rows or as one input, several inputs, sides that are declared."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from graph import test_onnx_arithmetic as arithmetic
from graph import test_onnx_choices as choices
from graph import test_onnx_functions as functions
from graph import test_onnx_moves as moves
from graph import test_onnx_norms as norms
from graph import test_onnx_ops as ops
from graph import test_onnx_piecewise as piecewise
from graph import test_onnx_reductions as reductions
from graph import test_onnx_resize as resize
from graph import test_onnx_steps as steps
from graph import test_onnx_volumes as volumes
from graph import test_onnx_windows as windows
from onnx_models import OneOp, array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import Reading, reading_of_onnx
from surefoot.graph.onnx_inputs import inputs_of
from surefoot.spec.runtime import runner_of_session, session_of

CASES: dict[str, OneOp] = {
    f"{module.__name__.split('_')[-1]}-{name}": case
    for module in (
        arithmetic,
        choices,
        functions,
        moves,
        norms,
        ops,
        piecewise,
        reductions,
        resize,
        steps,
        volumes,
        windows,
    )
    for name, case in module.ONE_OP.items()
}
ROWS = 3


def runtime(model: onnx.ModelProto, **given: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, given)[0])


def outputs(reading: Reading, x: np.ndarray) -> np.ndarray:
    rows = torch.from_numpy(x).double().reshape(-1, *reading.graph.input_shape)
    return evaluate(reading.graph, rows).numpy().reshape(len(rows), -1)


def agree_with_the_runtime(model: onnx.ModelProto, x: np.ndarray) -> Reading:
    """Compare one row after another, or all at once, with what the runtime gives for all rows."""
    theirs = runtime(model, x=x)
    reading = reading_of_onnx(model)
    ours = outputs(reading, x)
    assert np.allclose(ours.ravel(), theirs.ravel(), atol=1e-4)
    run = runner_of_session(session_of(model.SerializeToString()), "y", reading.inputs)
    flat = x.reshape(len(ours), -1)
    assert np.allclose(run(flat).ravel(), theirs.ravel(), atol=1e-4)
    return reading


@pytest.mark.parametrize("name", CASES)
def test_every_operation_on_a_fixed_batch(name: str) -> None:
    nodes, constants, shape, opset = CASES[name]
    if shape[0] != 1:
        return
    shape = [ROWS, *shape[1:]]
    model = model_of(nodes, constants, shape, opset)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    try:
        runtime(model, x=x)
    except Exception:  # constants that fit one row alone
        return
    if name == "moves-gather-elements":  # of one row of three, which ONNX's reference does not take
        return
    agree_with_the_runtime(model, x)


MEET: dict[str, tuple[list[Any], dict[str, np.ndarray]]] = {
    "a sum over rows": ([("ReduceSum", ["x", "axes"], ["y"])], {"axes": np.array([0])}),
    "the mean of all": ([("ReduceMean", ["x"], ["y"])], {}),
    "rows in another order": ([("Gather", ["x", "i"], ["y"])], {"i": np.array([2, 0, 1])}),
    "one row": ([("Gather", ["x", "i"], ["y"])], {"i": np.array(1)}),
    "rows cut otherwise": ([("Reshape", ["x", "s"], ["a"]), ("Transpose", ["a"], ["y"])], {"s": np.array([4, 3])}),
    "turned": ([("Transpose", ["x"], ["y"])], {}),
    "each with the first": ([("Slice", ["x", "a", "b"], ["f"]), ("Mul", ["x", "f"], ["y"])],
                            {"a": np.array([0]), "b": np.array([1])}),
    "a bias for each row": ([("Add", ["x", "c"], ["y"])], {"c": array(ROWS, 4)}),
    "a matrix from the left": ([("MatMul", ["w", "x"], ["y"])], {"w": array(2, ROWS)}),
    "a softmax over rows": ([("Softmax", ["x"], ["y"], {"axis": 0})], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MEET)
def test_rows_that_meet_are_one_input(name: str) -> None:
    steps, constants = MEET[name]
    nodes = [helper.make_node(op, given, out, **(more[0] if more else {})) for op, given, out, *more in steps]
    model = model_of(nodes, constants, [ROWS, 4])
    reading = agree_with_the_runtime(model, array(ROWS, 4))
    assert reading.inputs.rows == 1
    assert reading.graph.input_shape == (ROWS, 4)


def test_rows_that_do_not_meet_are_read_one_by_one_unless_the_whole_is_declared() -> None:
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": array(4, 2)}, [ROWS, 4])
    reading = agree_with_the_runtime(model, array(ROWS, 4))
    assert (reading.inputs.rows, reading.graph.input_shape, reading.graph.output_shape) == (ROWS, (4,), (2,))
    whole = reading_of_onnx(model, shapes={"x": (ROWS, 4)})
    assert whole.graph.input_shape == (ROWS, 4)
    assert np.allclose(outputs(whole, array(ROWS, 4)).ravel(), runtime(model, x=array(ROWS, 4)).ravel(), atol=1e-5)


def two_inputs(first: list[Any], second: list[Any]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Flatten", ["z"], ["f"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Concat", ["r", "f"], ["y"], axis=1),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", first), ("z", second))]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "two", infos, [out], [numpy_helper.from_array(array(4, 2), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


@pytest.mark.parametrize("rows", [1, 2])
def test_several_inputs_are_one_vector_in_the_order_of_the_file(rows: int) -> None:
    model = two_inputs([rows, 4], [rows, 2, 3])
    reading = reading_of_onnx(model)
    x, z = array(rows, 4), array(rows, 2, 3, seed=2)
    flat = np.concatenate([x, z.reshape(rows, -1)], axis=1)
    theirs = runtime(model, x=x, z=z)
    assert reading.inputs.rows == rows
    assert reading.graph.input_shape == (10,)
    assert np.allclose(outputs(reading, flat), theirs, atol=1e-6)
    run = runner_of_session(session_of(model.SerializeToString()), "y", reading.inputs)
    assert np.allclose(run(flat), theirs, atol=1e-6)
    described = [{"name": "x", "shape": [4], "first": 0}, {"name": "z", "shape": [2, 3], "first": 4}]
    assert reading.inputs.described == [one | ({"rows": rows} if rows > 1 else {}) for one in described]


def test_sides_that_are_open() -> None:
    model = two_inputs(["n", 4], ["n", "h", 3])
    with pytest.raises(InputError, match=r"'z' has the open sides \['n', 'h', 3\]: .*--shape z=1,1,3"):
        inputs_of(model)
    inputs = inputs_of(model, {"z": (1, 5, 3)})
    assert [(part.full, part.begin) for part in inputs.parts] == [((1, 4), 0), ((1, 5, 3), 4)]
    for wrong in ((1, 5), (1, 5, 4), (1, 0, 3)):
        with pytest.raises(InputError, match="the file has the sides"):
            inputs_of(model, {"z": wrong})
    with pytest.raises(InputError, match="has no such input; it has 'x', 'z'"):
        inputs_of(model, {"t": (1, 4)})
    with pytest.raises(InputError, match="has no input"):
        inputs_of(onnx.ModelProto())


def test_inputs_of_whole_numbers_are_refused() -> None:
    model = two_inputs([1, 4], [1, 2, 3])
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(InputError, match="'z' is of type int64"):
        inputs_of(model)
