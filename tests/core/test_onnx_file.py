"""Weights in other files are those that ONNX Runtime takes, and what it refuses is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from surefoot.core.errors import FileError, InputError
from surefoot.core.onnx_file import digest_of, files_of, load_onnx_model
from surefoot.spec.opening import open_onnx


def written(path: Path, location: str, **entries: str) -> Path:
    """Write y = w x, w in a file of one number."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "outside",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def number(path: Path, value: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.array([value], np.float32).tobytes())


def link(path: Path, target: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def beside(d: Path) -> Path:
    number(d / "w", 1)
    return written(d / "net.onnx", "w")


def linked_model(d: Path) -> Path:
    number(d / "b/w", 1)
    number(d / "a/w", 10)
    written(d / "b/net.onnx", "w")
    return link(d / "a/net.onnx", "../b/net.onnx")


def linked_model_alone(d: Path) -> Path:
    number(d / "b/w", 1)
    written(d / "b/net.onnx", "w")
    return link(d / "a/net.onnx", "../b/net.onnx")


def cache(d: Path) -> Path:
    """Lay it out as caches do: names that are links, contents in one folder."""
    number(d / "blobs/bbbb", 3)
    written(d / "blobs/aaaa", "net.onnx_data")
    link(d / "snap/net.onnx_data", "../blobs/bbbb")
    return link(d / "snap/net.onnx", "../blobs/aaaa")


def linked_folder(d: Path) -> Path:
    number(d / "b/w", 5)
    written(d / "b/net.onnx", "w")
    return link(d / "a", "b") / "net.onnx"


def linked_weights(d: Path) -> Path:
    number(d / "o/w", 4)
    link(d / "a/w", "../o/w")
    return written(d / "a/net.onnx", "w")


def up_and_back(d: Path) -> Path:
    number(d / "a/w", 6)
    return written(d / "a/net.onnx", "../a/w")


def outside(d: Path) -> Path:
    number(d / "w", 6)
    return written(d / "a/net.onnx", "../w")


def absolute(d: Path) -> Path:
    number(d / "w", 6)
    return written(d / "net.onnx", str(d / "w"))


def long(d: Path) -> Path:
    (d / "w").write_bytes(np.array([1, 2], np.float32).tobytes())
    return written(d / "net.onnx", "w", length="8")


def offset(d: Path) -> Path:
    (d / "w").write_bytes(np.array([1, 2], np.float32).tobytes())
    return written(d / "net.onnx", "w", offset="4", length="4")


LAYOUTS: list[Callable[[Path], Path]] = [
    beside, linked_model, linked_model_alone, cache, linked_folder, linked_weights, up_and_back, outside, absolute,
    long, offset,
]  # fmt: skip


def by_runtime(path: Path) -> float | None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception:
        return None
    return float(np.asarray(session.run(None, {"x": np.ones((1, 1), np.float32)})[0])[0, 0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_are_those_that_the_runtime_takes(tmp_path: Path, layout: Callable[[Path], Path]) -> None:
    path = layout(tmp_path)
    theirs = by_runtime(path)
    if theirs is None:
        with pytest.raises((FileError, InputError)):
            open_onnx(path)
        return
    opened = open_onnx(path)
    assert opened.run(np.ones((1, 1), np.float32)) == theirs
    assert numpy_helper.to_array(load_onnx_model(path).graph.initializer[0]) == theirs
    digest = digest_of(path)
    weights = files_of(path)[1].resolve()
    weights.write_bytes(np.float32(theirs + 1).tobytes() * (weights.stat().st_size // 4))
    assert digest_of(path) != digest


def test_weights_that_another_reader_would_take_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door asks the runtime for the file itself: weights from the folder behind a link were once read."""
    real = load_onnx_model(linked_model(tmp_path).resolve())
    monkeypatch.setattr("surefoot.spec.opening.load_with_files", lambda path: (real, files_of(path)))
    with pytest.raises(InputError, match="takes other weights from the files beside it"):
        open_onnx(tmp_path / "a/net.onnx")


def test_places_that_are_no_file_or_two_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with pytest.raises(FileError, match="which is no file"):
        load_onnx_model(written(tmp_path / "net.onnx", "w"))
    number(tmp_path / "v", 1)
    model = onnx.load(written(tmp_path / "net.onnx", "v"), load_external_data=False)
    model.graph.initializer[0].external_data.add(key="location", value="other")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FileError, match="several places at once"):
        load_onnx_model(tmp_path / "net.onnx")


def test_the_files_of_a_network_are_named_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    assert files_of(beside(tmp_path)) == (tmp_path / "net.onnx", tmp_path / "w")
    (tmp_path / "bad.onnx").write_bytes(b"location")
    for name in ("bad.onnx", "absent.onnx", "w"):
        assert files_of(tmp_path / name) == (tmp_path / name,)


@pytest.mark.parametrize("location", ["w.bin\0x", "w" * 5000, "a/" * 3000 + "w.bin", "w.bin/x", ".", "round1"])
def test_weights_in_what_is_no_file_are_refused(tmp_path: Path, location: str) -> None:
    number(tmp_path / "w.bin", 1.0)
    link(tmp_path / "round1", "round2")
    link(tmp_path / "round2", "round1")
    with pytest.raises(FileError, match="the weights"):
        load_onnx_model(written(tmp_path / "net.onnx", location))


def test_a_pointer_of_git_lfs_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(FileError, match=r"pointer of Git LFS.*git lfs pull"):
        load_onnx_model(tmp_path / "net.onnx")
