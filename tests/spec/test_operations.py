"""Whatever an operation is read as, behind whatever it stands: the door sees what ONNX Runtime computes otherwise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from graph.test_onnx_inputs import CASES
from networks import random_network
from onnx_models import model_of, runtime
from surefoot.core.errors import InputError
from surefoot.graph import onnx_piecewise, onnx_windows
from surefoot.graph.onnx_in import Reading, opset_of, reading_of_onnx
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.onnx_values import OnnxValue, Values
from surefoot.spec import opening, operations
from surefoot.spec.opening import open_onnx
from surefoot.spec.operations import see_operations, see_values

SPIKE = np.float32(0.3)
ONE = np.ones((1, 1), np.float32)


def spiked(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """Put operations of `s` = relu(1 - 2^20 |x - 0.3|) behind it: 0 at whatever is sampled, 1 at 0.3."""
    spike = [
        helper.make_node("Sub", ["x", "c"], ["d"]),
        helper.make_node("Neg", ["d"], ["e"]),
        helper.make_node("Relu", ["d"], ["p"]),
        helper.make_node("Relu", ["e"], ["q"]),
        helper.make_node("Add", ["p", "q"], ["a"]),
        helper.make_node("Mul", ["a", "k"], ["m"]),
        helper.make_node("Sub", ["one", "m"], ["t"]),
        helper.make_node("Relu", ["t"], ["s"]),
    ]
    held = {"c": SPIKE * ONE, "k": np.float32(2**20) * ONE, "one": ONE, **constants}
    graph = helper.make_graph(
        spike + nodes,
        "spiked",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model


def pooled(op: str, sides: int, at: int, **attributes: Any) -> onnx.ModelProto:
    """Let the spike rise at one place of a signal, which is pooled and summed."""
    row = np.zeros((1, sides), np.float32)
    row[0, at] = 2
    nodes = [
        helper.make_node("MatMul", ["s", "row"], ["v"]),
        helper.make_node("Reshape", ["v", "signal"], ["w"]),
        helper.make_node(op, ["w"], ["z"], kernel_shape=[2], **attributes),
        helper.make_node("ReduceSum", ["z", "axes"], ["r"]),
        helper.make_node("Reshape", ["r", "flat"], ["y"]),
    ]
    return spiked(nodes, row=row, signal=[1, 1, sides], axes=[1, 2], flat=[1, 1])


def largest() -> onnx.ModelProto:
    """Take the larger of a value and a hundred times nothing: a hundred of it."""
    nodes = [helper.make_node("Max", ["s", "none"], ["big"]), helper.make_node("ReduceSum", ["big", "axes"], ["y"])]
    return spiked(nodes, none=np.full((1, 100), -np.inf, np.float32), axes=[1])


def run(model: onnx.ModelProto) -> float:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(np.asarray(session.run(None, {"x": SPIKE * ONE})[0]).ravel()[0])


SAME = {"auto_pad": "SAME_LOWER", "dilations": [2], "strides": [2]}
VALID = {"auto_pad": "VALID", "ceil_mode": 1, "strides": [3]}
POOLS = [
    ("MaxPool", 6, 0, SAME),
    ("MaxPool", 7, 6, VALID),
    ("AveragePool", 7, 6, VALID),
]


def test_infinite_constants_keep_their_shape(tmp_path: Path) -> None:
    onnx.save(largest(), tmp_path / "net.onnx")
    opened = open_onnx(tmp_path / "net.onnx")
    assert run(largest()) == opened.run(SPIKE * ONE) == 100
    (value,) = [v for name, v in reading_of_onnx(largest()).known.items() if name == "big"]
    assert isinstance(value, OnnxValue)
    assert value.full == (1, 100)


@pytest.mark.parametrize(("op", "sides", "at", "attributes"), POOLS)
def test_what_runtimes_pad_otherwise_is_refused(op: str, sides: int, at: int, attributes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="runtimes differ; export it with pads"):
        reading_of_onnx(pooled(op, sides, at, **attributes))


def test_strides_that_skip_values_are_refused() -> None:
    with pytest.raises(InputError, match="auto_pad SAME with strides that skip values"):
        reading_of_onnx(pooled("AveragePool", 9, 0, auto_pad="SAME_UPPER", strides=[5]))


def test_a_name_stands_for_one_value() -> None:
    model = spiked([helper.make_node("Mul", ["s", "g"], ["y"])], g=0 * ONE)
    sparse = onnx.ModelProto.FromString(model.SerializeToString())
    values = numpy_helper.from_array(np.array([9.0], np.float32), "g")
    sparse.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0]), "i"), [1, 1])
    )
    with pytest.raises(InputError, match="'g' is a sparse_initializer"):
        reading_of_onnx(sparse)
    model.graph.initializer.append(numpy_helper.from_array(9 * ONE, "g"))
    with pytest.raises(InputError, match="the name 'g' stands for 2 values"):
        reading_of_onnx(model)
    twice = spiked([helper.make_node("Mul", ["s", "g"], ["y"])], g=0 * ONE)
    twice.graph.initializer[-1].float_data.append(9.0)
    with pytest.raises(InputError, match="it holds its values twice"):
        reading_of_onnx(twice)
    twice.graph.initializer[-1].ClearField("float_data")
    twice.opset_import.append(helper.make_opsetid("ai.onnx", 9))
    with pytest.raises(InputError, match="several opsets"):
        reading_of_onnx(twice)


def _no_shape(reader: Values, value: OnnxValue, bound: np.ndarray, sign: float, name: str) -> OnnxValue:
    return value  # as infinite constants were read once


def _no_dilation(read: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(a: dict[str, Any], image: Any, kernel: Any, stride: Any, dilation: Any, signal: bool) -> Any:
        a = {name: value for name, value in a.items() if name != "ceil_mode"}  # and VALID lost its ceil_mode
        return read(a, image, kernel, stride, dilation, signal)

    return wrong


@pytest.mark.parametrize(("op", "sides", "at", "attributes"), POOLS)
def test_a_misread_pool_is_seen_behind_a_spike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, op: str, sides: int, at: int, attributes: dict[str, Any]
) -> None:
    """Read as it was once, when `verify` proved what one input refutes."""
    monkeypatch.setattr(onnx_windows, "_runtimes_agree", lambda *_: None)
    monkeypatch.setattr(onnx_windows, "padding_of", _no_dilation(onnx_windows.padding_of))
    onnx.save(pooled(op, sides, at, **attributes), tmp_path / "net.onnx")
    with pytest.raises(InputError, match="do not agree on what the file means"):
        open_onnx(tmp_path / "net.onnx")


def test_a_lost_shape_is_seen_behind_a_spike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_piecewise, "beyond", _no_shape)
    monkeypatch.setattr(opening, "_SEEN", set())  # as it was read rightly
    onnx.save(largest(), tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"'big' has the shape \(1, 1\) as surefoot reads it, and \(1, 100\)"):
        open_onnx(tmp_path / "net.onnx")


def both(model: onnx.ModelProto, reading: Reading) -> None:
    x = np.random.default_rng(0).normal(size=(3, int(np.prod(reading.graph.input_shape)))).astype(np.float32)
    see_operations(reading, see_values(model, reading, x), opset_of(model))


@pytest.mark.parametrize("sizes", [{}, {"PORTION": 1, "GIVEN": 0}, {"LARGE": -1, "DEAR": -1, "DEAREST": -1, "HUGE": 1}])
def test_constants_and_shapes_are_compared_however_large_all_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int]
) -> None:
    for name, value in sizes.items():
        monkeypatch.setattr(operations, name, value)
    write_onnx(random_network(3, products=True), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    reading = reading_of_onnx(model)
    both(model, reading)
    name = next(name for name, known in reading.known.items() if isinstance(known, OnnxValue) and known.place > 1)
    value = reading.known[name]
    assert isinstance(value, OnnxValue)
    lost = {**reading.known, name: replace(value, full=(*value.full, 1))}
    with pytest.raises(InputError, match="has the shape"):
        both(model, replace(reading, known=lost))
    if "HUGE" not in sizes:
        name = next(name for name, known in reading.known.items() if isinstance(known, np.ndarray))
        with pytest.raises(InputError, match=f"the constant '{name}' is"):
            both(model, replace(reading, known={**reading.known, name: np.asarray(reading.known[name]) + 1}))


def test_overflow_tells_nothing_and_a_missing_number_does() -> None:
    none = np.array([np.nan, np.inf])
    operations._see_close("a", np.array([1.0, 1e39]), none, np.array([1.0, 1e32]))
    with pytest.raises(InputError, match="a is 1 at place 0 as surefoot reads it, and nan"):
        operations._see_close("a", np.array([1.0, 2.0]), none, np.array([1e-6, 1e-6]))


def test_weights_that_overflow_hide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At ordinary inputs all is infinite there: smaller ones are tried, of a dear operation too."""
    none = {"kernel_shape": [2], "auto_pad": "SAME_LOWER", "strides": [2]}
    nodes = [
        helper.make_node("MatMul", ["s", "row"], ["v"]),
        helper.make_node("Reshape", ["v", "signal"], ["w"]),
        helper.make_node("Conv", ["w", "huge"], ["z"], **none),
        helper.make_node("ReduceSum", ["z", "axes"], ["r"]),
        helper.make_node("Reshape", ["r", "flat"], ["y"]),
    ]
    row = np.full((1, 7), 1e-38, np.float32)
    model = spiked(
        nodes, row=row, signal=[1, 1, 7], axes=[1, 2], flat=[1, 1], huge=np.full((1, 1, 2), 3e38, np.float32)
    )
    onnx.save(model, tmp_path / "net.onnx")
    read = onnx_windows.padding_of

    def other_side(*arguments: Any) -> tuple[int, int, int, int]:
        left, right, top, bottom = read(*arguments)
        return right, left, bottom, top

    for sizes in ({}, {"DEAR": -1}, {"DEAR": -1, "DEAREST": -1}):
        monkeypatch.setattr(opening, "_SEEN", set())
        for name, value in sizes.items():
            monkeypatch.setattr(operations, name, value)
        open_onnx(tmp_path / "net.onnx")
        opening._SEEN.clear()
        with monkeypatch.context() as wrong:
            wrong.setattr(onnx_windows, "padding_of", other_side)
            with pytest.raises(InputError, match="by itself its result"):
                open_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("rows", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_every_operation_comes_through_the_door(tmp_path: Path, name: str, rows: int) -> None:
    """Also in a fixed batch; but for what ONNX Runtime does not run, of that shape."""
    nodes, constants, shape, opset = CASES[name]
    if (rows > 1 and shape[0] != 1) or (rows, name) == (3, "moves-gather-elements"):
        return
    model = model_of(nodes, constants, [rows * shape[0], *shape[1:]], opset)
    onnx.save(model, tmp_path / "net.onnx")
    try:
        runtime(model, np.zeros([rows * shape[0], *shape[1:]], np.float32))
    except Exception:
        return
    open_onnx(tmp_path / "net.onnx")
