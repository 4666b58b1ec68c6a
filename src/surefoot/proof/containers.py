"""Containers of a header and named arrays: one .npz, or one JSON with the arrays in it.

An archive or a text of another form, or a name that is there twice, is refused, and nothing is unpickled, converted or
unpacked beyond a limit.
"""

import base64
import binascii
import json
import math
import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from surefoot.core.errors import FileError

LARGEST_TEXT = 2**28  # bytes of JSON: parsed, they take some twenty times as many
LARGEST_FILE = 2**32  # bytes of all arrays, unpacked
TYPES = {"int8": "|i1", "float16": "<f2", "float32": "<f4", "float64": "<f8", "int64": "<i8"}
_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][fiu][1248])', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


def content_of(path: Path) -> bytes:
    """Read a file that is not too large.

    Raises:
        FileError: missing, no file, or too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"cannot read {path}: it is no file")
        if path.stat().st_size > LARGEST_FILE:
            raise FileError(f"{path} has more than {LARGEST_FILE} bytes: it is no certificate")
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot read {path}: {error.strerror}") from error


def unpacked(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """Unpack a header and named arrays; what is wrong with them raises some error of what reads it."""
    return _unpacked_text(content) if content.lstrip()[:1] == b"{" else _unpacked_archive(content)


def _strict_json(content: bytes) -> Any:
    """Read JSON in which no name is there twice, and no number is none."""
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"more than {LARGEST_TEXT} bytes of JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        named = dict(pairs)
        if len(named) < len(pairs):
            raise ValueError("a name is there twice")
        return named

    def refused(token: str) -> NoReturn:
        raise ValueError(f"{token} is no number")

    return json.loads(content.decode(), object_pairs_hook=once, parse_constant=refused)


def _unpacked_text(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    header = _strict_json(content)
    arrays = {}
    for name, entry in as_object(header.pop("arrays", None), "its arrays").items():
        check_keys(entry, {"type", "shape", "base64"}, f"array {name!r}")
        if entry["type"] not in TYPES or type(entry["base64"]) is not str or type(entry["shape"]) is not list:
            raise ValueError(f"array {name!r} is one of {str(entry['type'])[:20]!r}, or no array")
        try:
            values = base64.b64decode(entry["base64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"array {name!r} is damaged: {error}") from error
        arrays[name] = _array(name, values, TYPES[entry["type"]], [as_whole(n, "a side") for n in entry["shape"]], "C")
    return header, arrays


def _unpacked_archive(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > LARGEST_FILE:
            raise ValueError(f"it unpacks to more than {LARGEST_FILE} bytes")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name in arrays or name == entry.filename:
                raise ValueError(f"{entry.filename!r} is there twice, or is no array")
            with archive.open(entry) as file:
                packed = file.read()
            head = _HEAD.match(packed)
            if head is None or int.from_bytes(packed[8:10], "little") + 10 != head.end():
                raise ValueError(f"array {name!r} is no array of numbers as NumPy writes it")
            shape = [int(n) for n in head[3].decode().replace(" ", "").split(",") if n]
            values = memoryview(packed)[head.end() :]
            arrays[name] = _array(name, values, head[1].decode(), shape, "F" if head[2] == b"True" else "C")
    text = arrays.pop("header", np.zeros(0))
    if text.dtype != np.uint8 or text.ndim != 1:
        raise ValueError("it has no header of bytes")
    return _strict_json(text.tobytes()), arrays


def _array(name: str, values: Any, type_: str, shape: list[int], order: Any) -> np.ndarray:
    if min(shape, default=0) < 0 or math.prod(shape) * np.dtype(type_).itemsize != len(values):
        raise ValueError(f"array {name!r} of shape {tuple(shape)} has {len(values)} bytes")
    return np.frombuffer(values, dtype=type_).reshape(shape, order=order)


# Entries of the header


def as_object(value: Any, what: str) -> dict[str, Any]:
    """Return an object with names."""
    if type(value) is not dict:
        raise ValueError(f"{what} is no object with names")
    return value


def check_keys(value: Any, needed: set[str], what: str, more: frozenset[str] = frozenset()) -> None:
    """Check that an object has the names that are needed, and none but these and some more."""
    names = set(as_object(value, what))
    if not needed <= names <= needed | more:
        odd = sorted((needed - names) | (names - needed - more))
        raise ValueError(f"{what} has {odd[0][:40]!r} missing or in excess")


def as_list(value: Any, what: str, length: int | None = None) -> list[Any]:
    """Return a list, of a length if one is given."""
    if type(value) is not list or (length is not None and len(value) != length):
        raise ValueError(f"{what} is no list" + ("" if length is None else f" of {length}"))
    return value


def as_whole(value: Any, what: str) -> int:
    """Return a whole number; True is none."""
    if type(value) is not int:
        raise ValueError(f"{what} is {str(value)[:40]!r}, not a whole number")
    return value


def as_text(value: Any, what: str) -> str:
    """Return a printable text."""
    if type(value) is not str or not value.isprintable():
        raise ValueError(f"{what} is no text")
    return value
