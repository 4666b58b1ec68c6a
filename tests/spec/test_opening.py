"""The door lets in what is read as ONNX Runtime computes it, and says in one line what is not."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph import onnx_ops
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Relu
from surefoot.spec import opening
from surefoot.spec.opening import open_joined, open_onnx, see_agreement, see_agreement_within
from surefoot.verify.many import open_network
from two_layers import two_layers


def saved(path: Path, nodes: list[onnx.NodeProto], kind: int = TensorProto.FLOAT, **constants: object) -> Path:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    values = {name: np.asarray(value) for name, value in constants.items()}
    outputs = [name for name in ("y", "z") if any(name in node.output for node in nodes)]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", kind, [1, 3])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(v.astype(dtype) if v.dtype.kind == "f" else v, n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("seed", range(8))
def test_networks_are_let_in(tmp_path: Path, seed: int) -> None:
    graph = random_network(seed, products=True)
    write_onnx(graph, tmp_path / "net.onnx")
    opened = open_onnx(tmp_path / "net.onnx")
    ends = np.full((2, int(np.prod(graph.input_shape))), [[-2.0], [3.0]])
    see_agreement_within(opened.graph, opened.run, [(ends[0], ends[1])])
    assert opened.float32


def test_a_reader_that_errs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "net.onnx", [helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.01)])
    monkeypatch.setitem(onnx_ops.READERS, "LeakyRelu", onnx_ops.READERS["Relu"])
    with pytest.raises(InputError, match=r"net.onnx: at the input .* as surefoot reads the network, and .* Runtime"):
        open_onnx(path)
    monkeypatch.undo()
    open_onnx(path)


def test_another_number_of_outputs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "net.onnx", [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])])
    monkeypatch.setitem(onnx_ops.READERS, "ReduceMean", onnx_ops.READERS["Identity"])
    with pytest.raises(InputError, match="surefoot reads a network of 3 outputs, and ONNX Runtime gives 1"):
        open_onnx(path)


def test_what_is_no_number_is_said(tmp_path: Path) -> None:
    nodes = [helper.make_node("Mul", ["x", "c"], ["a"]), helper.make_node("Mul", ["a", "a"], ["y"])]
    opened = open_onnx(saved(tmp_path / "net.onnx", nodes, c=[1e18]))
    with pytest.raises(InputError, match=r"output 0 is inf by ONNX Runtime, 1\..*e\+40 in real arithmetic"):
        see_agreement_within(opened.graph, opened.run, [(np.full(3, 100.0), np.full(3, 101.0))])


def test_rounding_is_not_a_disagreement(tmp_path: Path) -> None:
    """Large values that cancel leave nothing but rounding."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "v"], ["y"])]
    weights = np.random.default_rng(0).normal(size=(3, 40)) * 1e5
    path = saved(tmp_path / "net.onnx", nodes, w=weights, v=np.linalg.svd(weights)[2][-3:].T)
    open_onnx(path)


def test_float64_is_not_called_float32_and_float16_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    assert not open_network(saved(tmp_path / "d.onnx", nodes, TensorProto.DOUBLE, w=np.eye(3))).float32
    inside = [
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
    ]
    assert not open_network(saved(tmp_path / "i.onnx", inside)).float32
    with pytest.raises(InputError, match="the input 'x' is of type float16"):
        open_network(saved(tmp_path / "h.onnx", nodes, TensorProto.FLOAT16, w=np.eye(3)))
    inside[0].attribute[0].i = TensorProto.FLOAT16
    with pytest.raises(InputError, match="a cast to short numbers rounds"):
        open_network(saved(tmp_path / "j.onnx", inside))


def test_outputs_are_named_and_dead_nodes_dropped(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Neg", ["x"], ["z"]),
        helper.make_node("Sigmoid", ["x"], ["nothing"]),
        helper.make_node("Add", ["x", "wrong"], ["nothing_either"]),
    ]
    path = saved(tmp_path / "net.onnx", nodes, wrong=[np.nan])
    with pytest.raises(InputError, match=r"2 outputs, 'y', 'z': say which is meant \(--output NAME"):
        open_onnx(path)
    x = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    for name, value in (("y", x.clamp(min=0)), ("z", -x)):
        opened = open_onnx(path, name)
        assert torch.equal(evaluate(opened.graph, x), value)
        assert np.array_equal(opened.run(x.float().numpy()), value.numpy())
    with pytest.raises(InputError, match="no output 'w'; it has 'y', 'z'"):
        open_onnx(path, "w")
    whole = onnx.load(path)
    whole.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64
    whole.graph.node[1].CopyFrom(helper.make_node("ArgMax", ["x"], ["z"], axis=1))
    onnx.save(whole, path)
    assert open_onnx(path).graph.output_shape == (3,)  # the other one is of whole numbers


def test_what_the_runtime_refuses_is_one_line(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Nothing", ["x"], ["dead"])]
    with pytest.raises(InputError, match="ONNX Runtime does not take this network") as error:
        open_onnx(saved(tmp_path / "net.onnx", nodes))
    assert "\n" not in str(error.value)
    path = saved(tmp_path / "late.onnx", [helper.make_node("Add", ["x", "c"], ["y"])], c=np.ones(3))
    opened = open_onnx(path)
    with pytest.raises(InputError, match="takes 3 values, given 5"):
        opened.run(np.zeros((1, 5), np.float32))


@pytest.mark.parametrize("bound", [1e2, 1e4, 1e31, 3.4e38, np.inf])
def test_bounds_of_any_size_are_kept(tmp_path: Path, bound: float) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("Clip", {"a": -bound, "b": bound}),
        ("Min", {"b": bound}),
        ("Max", {"a": -bound}),
    ]
    for op, constants in cases:
        path = saved(tmp_path / "net.onnx", [helper.make_node(op, ["x", *constants], ["y"])], **constants)
        opened = open_onnx(path)
        x = np.array([[0.3, -0.7, 1.0], [3.0, -50.0, 90.0], [5e2, -5e3, 5e4]], np.float32)
        x = np.concatenate([x, np.array([[3e38, -3e38, 0.0]], np.float32)]) if bound > 1e30 else x
        ours = evaluate(opened.graph, torch.from_numpy(x).double()).numpy()
        assert np.allclose(ours, opened.run(x), rtol=1e-6, atol=1e-6), op
        relus = sum(isinstance(node.op, Relu) for node in opened.graph.nodes)
        assert relus == (0 if bound == np.inf else len(constants))


@pytest.mark.parametrize(("op", "bound"), [("Max", np.inf), ("Min", -np.inf), ("Max", np.nan), ("Clip", np.nan)])
def test_bounds_that_leave_no_number_are_refused(tmp_path: Path, op: str, bound: float) -> None:
    with pytest.raises(InputError, match=r"of values and|which is empty"):
        open_onnx(saved(tmp_path / "net.onnx", [helper.make_node(op, ["x", "a"], ["y"])], a=bound))


def test_a_network_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "net.onnx", [helper.make_node("Add", ["x", "c"], ["y"])], c=[0.1234])
    open_onnx(path)
    monkeypatch.setattr(opening, "see_agreement", None)
    open_onnx(path)


def test_large_networks_are_compared_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_network(2)
    monkeypatch.setattr(opening, "LARGE", -1)
    x = opening._probes(graph)
    assert len(x) == 2

    def run(x: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(x).double().reshape(-1, *graph.input_shape)
        return evaluate(graph.to(torch.float64), rows).flatten(1).numpy()

    see_agreement(graph.to(torch.float64), run, x)
    with pytest.raises(InputError, match="do not agree"):
        see_agreement(graph.to(torch.float64), lambda x: run(x) * 1.01 + 0.01, x)


def test_every_box_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that differs in one box of many is seen, wherever that box is."""
    graph = random_network(0).to(torch.float64)
    d = int(np.prod(graph.input_shape))
    boxes = [(np.full(d, at / 100), np.full(d, (at + 1) / 100)) for at in range(100)]

    def run(x: np.ndarray, wrong: int = -1) -> np.ndarray:
        y = evaluate(graph, torch.from_numpy(x).double().reshape(-1, *graph.input_shape)).flatten(1).numpy()
        return y + 100 * ((x > wrong / 100) & (x < (wrong + 1) / 100)).all(1, keepdims=True)

    opening.see_agreement_within(graph, run, boxes)
    for wrong in (0, 3, 57, 99):
        with pytest.raises(InputError, match="do not agree"):
            opening.see_agreement_within(graph, partial(run, wrong=wrong), boxes)
    monkeypatch.setattr(opening, "BATCH_VALUES", 1)
    monkeypatch.setattr(opening, "POINTS", 20)
    opening.see_agreement_within(graph, run, boxes)


def test_a_network_of_too_many_values_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Expand", ["x", "s"], ["e"]), helper.make_node("Expand", ["e", "t"], ["y"])]
    path = saved(tmp_path / "net.onnx", nodes, s=[2**10, 2**6, 3], t=[2**18, 2**10, 2**6, 3])
    with pytest.raises(InputError, match=r"too large|too many to be held"):
        open_onnx(path)


@pytest.mark.parametrize(
    ("node", "constants", "words"),
    [
        (
            helper.make_node("Add", ["a", "b"], ["c"]),
            {"a": np.array([2048], np.float16), "b": np.array([1], np.float16)},
            "float16",
        ),
        (
            helper.make_node("Cast", ["a"], ["c"], to=TensorProto.INT32),
            {"a": np.array([3e9], np.float32)},
            "cast to int32",
        ),
        (helper.make_node("Div", ["a", "b"], ["c"]), {"a": np.array([1]), "b": np.array([0])}, "divided by 0"),
        (helper.make_node("Cast", ["a"], ["c"]), {"a": np.array([1], np.float32)}, "needs its attribute 'to'"),
    ],
)
def test_constants_that_runtimes_compute_otherwise_are_refused(
    node: onnx.NodeProto, constants: dict[str, np.ndarray], words: str
) -> None:
    nodes = [node, helper.make_node("Cast", ["c"], ["d"], to=1), helper.make_node("Add", ["x", "d"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    with pytest.raises(InputError, match=words):
        graph_of_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def test_several_values_are_read_as_one_output(tmp_path: Path) -> None:
    file = two_layers(tmp_path / "net.onnx", 0)
    opened = open_joined(file, ["h", "y", "z"])
    x = np.array([[0.5, -1.0, 0.25]], np.float32)
    alone = [open_joined(file, [name]).run(x) for name in ("h", "y", "z")]
    np.testing.assert_array_equal(opened.run(x), np.concatenate(alone, axis=1))
    assert [opened.values[name] for name in ("h", "y", "z")] == [(1, 4), (1, 2), (1, 4)]
    np.testing.assert_allclose(alone[2], alone[0] - 1)
    with pytest.raises(InputError, match="computes nothing of the name 'absent'"):
        open_joined(file, ["y", "absent"])
    onnx.save(onnx.load(file), tmp_path / "apart.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(InputError, match="weights lie in the same file"):
        open_joined(tmp_path / "apart.onnx", ["h", "y"])
