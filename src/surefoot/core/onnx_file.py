"""Load an ONNX file, plain or gzipped, with its external weights: nothing outside its folder, nothing without end."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from surefoot.core.errors import FileError
from surefoot.core.onnx_versions import lifted, without_maps

_POINTER = b"version https://git-lfs.github.com/spec/"
LARGEST_FILE = 2**32  # bytes after unpacking: a gzipped file of a few kilobytes may claim any size


def digest_of(path: Path | str) -> str:
    """Return the SHA-256 of an ONNX file's content, unpacked, with its external weights.

    Raises:
        FileError: as `load_onnx_model`.
    """
    return hashlib.sha256(load_onnx_model(path).SerializeToString(deterministic=True)).hexdigest()


def files_of(path: Path | str) -> tuple[Path, ...]:
    """Return an ONNX file and those that hold its weights, as far as it can be read: what no output may replace."""
    path = Path(path)
    try:
        if not path.is_file() or b"location" not in (content := _content(path)):  # a pipe is read only once
            return (path,)
        return (path, *_files_of(onnx.load_from_string(content), path))
    except (FileError, DecodeError, ValueError, RuntimeError):
        return (path,)


def load_onnx_model(path: Path | str) -> onnx.ModelProto:
    """Load an ONNX model, plain or gzipped, with its external weights, from the files that ONNX Runtime takes.

    Raises:
        FileError: missing, damaged, too large, or weights outside the file's folder.
    """
    return load_with_files(path)[0]


load_model = load_onnx_model  # its name of before, until version 0.3


def load_with_files(path: Path | str) -> tuple[onnx.ModelProto, tuple[Path, ...]]:
    """Load an ONNX model; return it, and its file with those that hold its weights.

    Raises:
        FileError: as `load_onnx_model`.
    """
    path = Path(path)
    content = _content(path)
    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise FileError(f"{path} is not an ONNX file: {error}") from error
    if not model.graph.node:
        raise FileError(f"{path} is not an ONNX file: it holds no operation")
    files = (path, *_files_of(model, path))
    for tensor in _external(model):
        _load_weights(tensor, path)
    try:
        return without_maps(lifted(model)), files
    except FileError as error:
        raise FileError(f"{path}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                content = file.read(LARGEST_FILE + 1)
        else:
            if path.stat().st_size > LARGEST_FILE:
                raise FileError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST_FILE} are read")
            content = path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    if content.startswith(_POINTER):
        raise FileError(f"{path} is a pointer of Git LFS, not the network itself: `git lfs pull` brings it")
    if len(content) > LARGEST_FILE:
        raise FileError(f"{path} unpacks to more than {LARGEST_FILE} bytes")
    return content


def _external(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]


def _files_of(model: onnx.ModelProto, path: Path) -> list[Path]:
    return [path.parent / _entries(tensor).get("location", "") for tensor in _external(model)]


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _load_weights(tensor: onnx.TensorProto, path: Path) -> None:
    """Read a tensor that lies in another file: beside the path as it is given, be that a link, as ONNX Runtime does.

    Links may lead to what lies in that folder, or in the one where the model really is: caches are made of such.
    """
    entries = _entries(tensor)
    location = entries.get("location", "")
    try:
        file = (path.parent / location).resolve()
        folders = path.parent.resolve(), path.resolve().parent
        strange = file.exists() and not file.is_file()  # a pipe may have no end
    except (OSError, RuntimeError, ValueError) as error:  # links that go round, or what is no name of a file
        raise FileError(
            f"{path}: the weights {tensor.name!r} lie in {location!r}, which is no file: {error}"
        ) from error
    if len(entries) != len(tensor.external_data):
        raise FileError(f"{path}: the weights {tensor.name!r} lie in several places at once")
    if not location or Path(location).is_absolute() or not any(map(file.is_relative_to, folders)):
        raise FileError(f"{path}: the weights {tensor.name!r} lie outside its folder, in {location!r}; not read")
    if strange:
        raise FileError(f"{path}: the weights {tensor.name!r} lie in {location!r}, which is no file")
    try:
        size = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        offset = int(entries.get("offset", 0))
        if min(offset, size, *tensor.dims, 0) < 0 or size > LARGEST_FILE:
            raise FileError(f"{path}: the weights {tensor.name!r} claim {size} bytes at {offset}")
        with file.open("rb") as source:
            source.seek(offset)
            tensor.raw_data = source.read(size)
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: cannot read the weights {tensor.name!r} from {location!r}: {error}") from error
    if len(tensor.raw_data) != size:
        raise FileError(f"{path}: {location!r} ends before the weights {tensor.name!r} do")
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
