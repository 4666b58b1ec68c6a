"""Files of networks: what is read is what ONNX Runtime says it is, and what is not read is named."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from networks import random_network
from onnx_models import agree, array, model_of
from surefoot.core.errors import FileError, InputError
from surefoot.core.onnx_file import load_onnx_model
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import graph_of_onnx, read_onnx
from surefoot.graph.onnx_out import write_onnx
from surefoot.recalibrate.onnx import load_onnx


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
    constants = {"sizes": np.array([2, 2]), "first": np.array([0]), "rest": np.array([-1])}
    agree(model_of(nodes, constants, [1, 4, 3, 3]), [1, 4, 3, 3])


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
        load_onnx_model(folder / "net.onnx")
    tensor.external_data[0].value = "weights"
    (folder / "weights").write_bytes(array(6).tobytes())
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert np.allclose(numpy_helper.to_array(load_onnx_model(folder / "net.onnx").graph.initializer[0]), array(6))


def test_what_is_not_read_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'y' \(Det\): the operation Det is not read"):
        graph_of_onnx(model_of([helper.make_node("Det", ["x"], ["y"])], {}, [1, 2, 2]))
    weights = array(6)
    weights[2] = np.nan
    with pytest.raises(InputError, match=r"'c' is nan at \(2,\)"):
        graph_of_onnx(model_of([helper.make_node("Add", ["x", "c"], ["y"])], {"c": weights}, [1, 6]))
    training = {"ratio": np.array(0.5, np.float32), "mode": np.array(True)}
    with pytest.raises(InputError, match="dropout in training mode"):
        graph_of_onnx(model_of([helper.make_node("Dropout", ["x", *training], ["y"])], training, [1, 6]))
    big = {"s": np.array([1, 100000, 100000])}
    with pytest.raises(InputError, match="too large"):
        graph_of_onnx(model_of([helper.make_node("Expand", ["x", "s"], ["y"])], big, [1, 1, 1]))


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
