"""Graphs are what ONNX Runtime says they are: read, written, and read again."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from networks import random_network
from surefoot.core.errors import FileError, InputError
from surefoot.core.onnx_file import load_model
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_in import graph_of_onnx, read_onnx
from surefoot.graph.onnx_out import onnx_of_graph, write_onnx
from surefoot.graph.ops import Add, Concat, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.graph.passes.affine import fused
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.recalibrate.onnx import load_onnx


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


IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, tuple[list[onnx.NodeProto], dict[str, np.ndarray], list[int], int]] = {}


def case(
    name: str, op: str, shape: list[int], opset: int = 17, constants: dict[str, np.ndarray] | None = None, **a: Any
) -> None:
    given = constants or {}
    ONE_OP[name] = ([helper.make_node(op, ["x", *given], ["y"], **a)], given, shape, opset)


ints = np.array
NORM = {"g": array(2), "b": array(2, seed=2), "m": array(2, seed=3), "v": np.abs(array(2))}
case("conv", "Conv", IMAGE, constants={"w": array(3, 2, 3, 2), "b": array(3)}, pads=[1, 0, 2, 1], strides=[2, 1])
case("conv-dilated", "Conv", IMAGE, constants={"w": array(2, 1, 2, 2)}, dilations=[2, 1], group=2)
case("conv-same-upper", "Conv", IMAGE, constants={"w": array(1, 2, 2, 3)}, auto_pad="SAME_UPPER", strides=[2, 2])
case("conv-same-lower", "Conv", IMAGE, constants={"w": array(1, 2, 2, 3)}, auto_pad="SAME_LOWER")
case("conv-signal", "Conv", [1, 2, 7], constants={"w": array(3, 2, 3)}, pads=[1, 1], strides=[2])
case("gemm", "Gemm", [1, 4], constants={"w": array(4, 3), "c": array(3)}, alpha=0.5, beta=2.0)
case("gemm-transposed", "Gemm", [1, 4], constants={"w": array(3, 4), "c": array(1)}, transB=1)
case("matmul", "MatMul", [1, 3, 4], constants={"w": array(4, 2)})
case("matmul-vector", "MatMul", [1, 4], constants={"w": array(4)})
case("batchnorm", "BatchNormalization", IMAGE, constants=NORM)
case("batchnorm-7", "BatchNormalization", IMAGE, 7, NORM)
case("leaky", "LeakyRelu", [1, 6], alpha=0.1)
case("clip", "Clip", [1, 6], constants={"low": np.array(-0.5, np.float32), "high": np.array(0.7, np.float32)})
case("clip-6", "Clip", [1, 6], 7, min=0.0, max=0.5)
case("max", "Max", [1, 6], constants={"c": array(6)})
case("max-three", "Max", IMAGE, constants={"c": array(2, 1, 1), "d": array(6, seed=5)})
case("min", "Min", IMAGE, constants={"c": array(5, 6)})
case("maxpool", "MaxPool", IMAGE, kernel_shape=[3, 2], strides=[1, 2], pads=[1, 1, 1, 0])
case("maxpool-ceil", "MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1)
case("maxpool-dilated", "MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3])
case("maxpool-signal", "MaxPool", [1, 2, 7], kernel_shape=[3], strides=[2])
case("averagepool", "AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
case("averagepool-counted", "AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
case("averagepool-ceil", "AveragePool", IMAGE, 19, kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1)
PADDED: dict[str, Any] = {"kernel_shape": [2, 3], "strides": [2, 4], "pads": [0, 1, 0, 1]}
case("averagepool-ceil-counted", "AveragePool", IMAGE, 19, ceil_mode=1, count_include_pad=1, **PADDED)
case("globalaverage", "GlobalAveragePool", IMAGE)
case("globalmax", "GlobalMaxPool", IMAGE)
case("reducemean", "ReduceMean", IMAGE, 17, axes=[2, 3], keepdims=0)
case("reducemean-18", "ReduceMean", IMAGE, 18, {"axes": ints([-1, 2])})
case("reducesum", "ReduceSum", IMAGE, 17, {"axes": ints([1])}, keepdims=0)
case("add", "Add", IMAGE, constants={"c": array(2, 1, 1)})
case("add-broadcast", "Add", [1, 1, 3], constants={"c": array(4, 1)})
case("sub", "Sub", [1, 6], constants={"c": array(6)})
case("mul", "Mul", IMAGE, constants={"c": array(1, 2, 1, 6)})
case("div", "Div", [1, 6], constants={"c": np.abs(array(6)) + 1})
case("neg", "Neg", [1, 6])
case("pad", "Pad", IMAGE, 17, {"p": ints([0, 0, 1, -1, 0, 0, 2, 1]), "v": np.array(1.5, np.float32)})
case("pad-reflect", "Pad", IMAGE, 17, {"p": ints([0, 0, 1, 1, 0, 0, 2, 1])}, mode="reflect")
case("pad-2", "Pad", IMAGE, 9, pads=[0, 0, 1, 0, 0, 0, 0, 1], value=-2.0)
case("flatten", "Flatten", IMAGE)
case("reshape", "Reshape", IMAGE, 17, {"s": ints([0, -1, 4])})
case("transpose", "Transpose", IMAGE, perm=[0, 2, 3, 1])
case("slice", "Slice", IMAGE, 17, {"a": ints([4, 1]), "b": ints([-10, 5]), "c": ints([2, 3]), "d": ints([-2, 2])})
case("slice-9", "Slice", IMAGE, 9, starts=[1], ends=[4], axes=[2])
case("gather", "Gather", IMAGE, 17, {"i": ints([1, 0, 1])}, axis=1)
case("squeeze", "Squeeze", [1, 1, 4], 17, {"a": ints([1])})
case("squeeze-11", "Squeeze", [1, 1, 4], 11, axes=[1])
case("unsqueeze", "Unsqueeze", [1, 4], 17, {"a": ints([2])})
case("expand", "Expand", [1, 1, 4], 17, {"s": ints([1, 3, 4])})
case("tile", "Tile", [1, 2, 3], 17, {"r": ints([1, 2, 1])})
case("depth-to-space", "DepthToSpace", [1, 8, 2, 3], blocksize=2)
case("space-to-depth", "SpaceToDepth", [1, 2, 4, 6], blocksize=2)
case("dropout", "Dropout", [1, 6])
case("identity", "Identity", [1, 6])
case("softmax", "Softmax", [1, 6])
case("relu-plain", "Relu", [6])


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


def test_a_matrix_from_the_left() -> None:
    nodes = [helper.make_node("MatMul", ["w", "x"], ["y"])]
    agree(model_of(nodes, {"w": array(5, 3)}, [1, 3, 4]), [1, 3, 4])


def test_branches_splits_and_constant_shapes() -> None:
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1),
        helper.make_node("Mul", ["a", "b"], ["m"]),
        helper.make_node("Sub", ["m", "a"], ["d"]),
        helper.make_node("Sum", ["d", "a", "b"], ["s"]),
        helper.make_node("Concat", ["s", "a"], ["c"], axis=1),
        helper.make_node("Shape", ["c"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["c", "target"], ["y"]),
    ]
    constants = {"sizes": ints([2, 2]), "first": ints([0]), "rest": ints([-1])}
    agree(model_of(nodes, constants, [1, 4, 3, 3]), [1, 4, 3, 3])


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_written_and_rewritten_are_the_same_function(seed: int) -> None:
    graph = random_network(seed, products=True)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, *graph.input_shape)))
    y = evaluate(graph, x)
    scale = 1 + float(y.abs().max())
    for same in (fused(graph), pools_as_relus(graph), fused(pools_as_relus(graph))):
        assert torch.allclose(evaluate(same, x), y, atol=1e-10 * scale)
    assert len(fused(graph).nodes) <= len(graph.nodes)
    model = onnx_of_graph(graph)
    assert np.allclose(runtime(model, x.float().numpy()), y.numpy(), atol=1e-4 * scale)
    again = graph_of_onnx(model)
    assert torch.allclose(evaluate(again, x), y, atol=1e-5 * scale)


def test_an_affine_operation_its_adjoint_and_magnitude() -> None:
    """<W x, a> = <x, W' a>, and |W x| <= |W| |x|."""
    for seed in range(20):
        graph = random_network(seed)
        rng = np.random.default_rng(seed)
        for node in graph.nodes[1:]:
            if not isinstance(node.op, Input | Relu | MaxPool2d | Add | Mul | Concat | Softmax):
                given = graph.nodes[node.inputs[0]].shape
                x, a = (torch.from_numpy(rng.normal(size=(2, *s))) for s in (given, node.shape))
                forward = (node.op.linear(x) * a).flatten(1).sum(1)
                assert torch.allclose(forward, (x * node.op.adjoint(a, given)).flatten(1).sum(1))
                assert bool((node.op.linear(x).abs() <= node.op.absolute(x.abs()) + 1e-12).all())


def test_files_plain_and_gzipped(tmp_path: Path) -> None:
    graph = random_network(3)
    write_onnx(graph, tmp_path / "net.onnx")
    (tmp_path / "net.onnx.gz").write_bytes(gzip.compress((tmp_path / "net.onnx").read_bytes()))
    x = torch.ones(1, *graph.input_shape, dtype=torch.float64)
    assert torch.equal(evaluate(read_onnx(tmp_path / "net.onnx"), x), evaluate(read_onnx(tmp_path / "net.onnx.gz"), x))


def test_hostile_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write_onnx(random_network(3), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(int(rng.integers(1, 30))):
            broken[int(rng.integers(len(broken)))] = int(rng.integers(256))
        path.write_bytes(bytes(broken[: int(rng.integers(1, len(broken) + 1))]))
        try:
            read_onnx(path)
        except (FileError, InputError):
            continue
    path.write_bytes(b"")
    with pytest.raises(FileError, match="holds no operation"):
        read_onnx(path)
    with pytest.raises(FileError, match="cannot read"):
        read_onnx(tmp_path / "absent.onnx")
    (tmp_path / "cut.onnx.gz").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(FileError, match="gzip"):
        read_onnx(tmp_path / "cut.onnx.gz")


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_external_weights_do_not_leave_the_folder(tmp_path: Path, location: str) -> None:
    model = model_of([helper.make_node("Add", ["x", "c"], ["y"])], {"c": array(6)}, [1, 6])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    folder = tmp_path / "nets"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(array(6).tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FileError, match="outside its folder"):
        load_onnx(folder / "net.onnx")
    with pytest.raises(FileError, match="outside its folder"):
        load_model(folder / "net.onnx")
    tensor.external_data[0].value = "weights"
    (folder / "weights").write_bytes(array(6).tobytes())
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert np.allclose(numpy_helper.to_array(load_model(folder / "net.onnx").graph.initializer[0]), array(6))


def test_what_is_not_read_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'y' \(Sigmoid\): the operation Sigmoid is not one"):
        graph_of_onnx(model_of([helper.make_node("Sigmoid", ["x"], ["y"])], {}, [1, 6]))
    weights = array(6)
    weights[2] = np.nan
    with pytest.raises(InputError, match=r"'c' is nan at \(2,\)"):
        graph_of_onnx(model_of([helper.make_node("Add", ["x", "c"], ["y"])], {"c": weights}, [1, 6]))
    training = {"ratio": np.array(0.5, np.float32), "mode": np.array(True)}
    with pytest.raises(InputError, match="dropout in training mode"):
        graph_of_onnx(model_of([helper.make_node("Dropout", ["x", *training], ["y"])], training, [1, 6]))
    nodes = [helper.make_node("Softmax", ["x"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    with pytest.raises(InputError, match="only as the last operation"):
        graph_of_onnx(model_of(nodes, {}, [1, 6]))
    big = {"s": ints([1, 100000, 100000])}
    with pytest.raises(InputError, match="too large"):
        graph_of_onnx(model_of([helper.make_node("Expand", ["x", "s"], ["y"])], big, [1, 1, 1]))
    with pytest.raises(InputError, match="a batch of 3"):
        graph_of_onnx(model_of([helper.make_node("Relu", ["x"], ["y"])], {}, [3, 6]))


@pytest.mark.parametrize("offset", [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (1, 1)])
@pytest.mark.parametrize("factors", [{}, {"alpha": 0.5, "beta": -2.0}])
def test_gemm_broadcasts_its_offset_as_onnx_does(offset: tuple[int, ...], factors: dict[str, Any]) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["a"]),
        helper.make_node("Gemm", ["a", "w", "c"], ["b"], **factors),
        helper.make_node("Reshape", ["b", "t"], ["y"]),
    ]
    shapes = {"s": np.array([2, 4]), "t": np.array([1, 6])}
    agree(model_of(nodes, {"w": array(4, 3), "c": array(*offset), **shapes}, [1, 8]), [1, 8])


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_a_matrix_of_a_higher_rank_raises_the_rank(rank: int, left: bool) -> None:
    """Where an axis is counted from, summed over or moved tells the rank."""
    weight = array(*(1,) * (rank - 2), *((2, 1) if left else (3, 3)))
    nodes = [
        helper.make_node("MatMul", ["w", "x"] if left else ["x", "w"], ["a"]),
        helper.make_node("Transpose", ["a"], ["y"]),
    ]
    model = model_of(nodes, {"w": weight}, [1, 3])
    if rank == 2 and left:
        return  # (2, 3): no batch is left
    graph = graph_of_onnx(model)
    x = array(1, 3, seed=3)
    theirs = runtime(model, x)
    ours = evaluate(graph, torch.from_numpy(x).double().reshape(1, *graph.input_shape)).numpy()
    assert np.prod(graph.output_shape) == theirs.size
    assert np.allclose(ours.ravel(), theirs.ravel(), atol=1e-6)


def test_ranks_are_those_of_onnx() -> None:
    """(1, 4) times (1, 4, 4) is (1, 1, 4): a sum over axis 1 leaves four numbers, not one."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("ReduceSum", ["a", "axes"], ["y"], keepdims=0),
    ]
    agree(model_of(nodes, {"w": array(1, 4, 4), "axes": np.array([1])}, [1, 4]), [1, 4])


def test_attributes_and_outputs_that_are_not_read_are_refused() -> None:
    norm = {name: np.ones(2, np.float32) for name in "abcd"}

    def normed(outputs: list[str], **attributes: Any) -> onnx.ModelProto:
        node = helper.make_node("BatchNormalization", ["x", *"abcd"], outputs, **attributes)
        return model_of([node], norm, [1, 2, 2], opset=8)

    graph_of_onnx(normed(["y"], spatial=1))
    with pytest.raises(InputError, match=r"BatchNormalization\): its attribute 'spatial' \(0\) is not read"):
        graph_of_onnx(normed(["y"], spatial=0))
    with pytest.raises(InputError, match="its further outputs, 'm', 'v', are not read"):
        graph_of_onnx(normed(["y", "m", "v"]))
    with pytest.raises(InputError, match="its attribute 'layout'"):
        graph_of_onnx(model_of([helper.make_node("Relu", ["x"], ["y"], layout=1)], {}, [1, 2]))
    with pytest.raises(InputError, match="its attribute 'what'"):
        graph_of_onnx(model_of([helper.make_node("Transpose", ["x"], ["y"], what=1)], {}, [1, 2]))
    dropped = [helper.make_node("Dropout", ["x"], ["y", "mask"])]
    graph_of_onnx(model_of(dropped, {}, [1, 2]))
    read = [helper.make_node("Dropout", ["x"], ["a", "mask"]), helper.make_node("Cast", ["mask"], ["y"], to=1)]
    with pytest.raises(InputError, match="its input 'mask' is the result of nothing before it"):
        graph_of_onnx(model_of(read, {}, [1, 2]))


@pytest.mark.parametrize(("gamma", "mean"), [(1.4e-45, 0.0), (1e20, 1e25)])
def test_a_normalisation_that_float32_cannot_fold_is_refused(gamma: float, mean: float) -> None:
    given = {"a": gamma, "b": 0.0, "c": mean, "d": 2.25}
    node = helper.make_node("BatchNormalization", ["x", *given], ["y"])
    with pytest.raises(InputError, match="folded as runtimes do, leave float32"):
        graph_of_onnx(model_of([node], {n: np.array([v, v], np.float32) for n, v in given.items()}, [1, 2]))
