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

LARGEST_FILE = 2**32  # bytes after unpacking: a gzipped file of a few kilobytes may claim any size


def digest_of(path: Path | str) -> str:
    """Return the SHA-256 of an ONNX file's content, unpacked, with its external weights.

    Raises:
        FileError: as `load_model`.
    """
    return hashlib.sha256(load_model(path).SerializeToString(deterministic=True)).hexdigest()


def load_model(path: Path | str) -> onnx.ModelProto:
    """Load an ONNX model, plain or gzipped, with its external weights.

    Raises:
        FileError: missing, damaged, too large, or weights outside the file's folder.
    """
    path = Path(path)
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
    if len(content) > LARGEST_FILE:
        raise FileError(f"{path} unpacks to more than {LARGEST_FILE} bytes")
    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise FileError(f"{path} is not an ONNX file: {error}") from error
    if not model.graph.node:
        raise FileError(f"{path} is not an ONNX file: it holds no operation")
    _load_external(model, path)
    return model


def _load_external(model: onnx.ModelProto, path: Path) -> None:
    folder = path.resolve().parent
    outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in outside:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            raise FileError(f"{path}: the weights {tensor.name!r} lie outside its folder, in {location!r}; not read")
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
