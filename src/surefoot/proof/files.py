"""Certificates as files: one .npz (arrays, and a header in JSON), or one .json, which is larger.

Reading trusts nothing: an archive or a text of another form, an unknown or a missing entry, a name that is there twice
or an array that nothing names is refused, and nothing is unpickled, converted or unpacked beyond a limit. That arrays
are what they must be is left to `schema`, which certificates from memory pass too.
"""

import base64
import binascii
import json
import math
import os
import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from surefoot.core.errors import FileError
from surefoot.core.files import whole_file, write_text
from surefoot.proof.certificate import Certificate, Proof, SplitLeaf

FORMATS = {"surefoot certificate 1": 1, "surefoot certificate 2": 2}
LARGEST_TEXT = 2**28  # bytes of JSON: parsed, they take some twenty times as many
LARGEST_FILE = 2**32  # bytes of all arrays, unpacked
TYPES = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "int64": "<i8"}
_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][fiu][1248])', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


def load_certificate(path: Path | str) -> Certificate:
    """Read a certificate.

    Raises:
        FileError: missing, damaged, too large, or no certificate.
    """
    content = _content(Path(path))
    try:
        if content.lstrip()[:1] == b"{":
            header, arrays = _unpacked_text(content)
        else:
            header, arrays = _unpacked_archive(content)
        return _Reader(arrays).certificate(header, Path(path).parent)
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise FileError(f"{path} is not a certificate, or a damaged one: {error}") from error


def _content(path: Path) -> bytes:
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
    for name, entry in _object(header.pop("arrays", None), "its arrays").items():
        _keys(entry, {"type", "shape", "base64"}, f"array {name!r}")
        if entry["type"] not in TYPES or type(entry["base64"]) is not str or type(entry["shape"]) is not list:
            raise ValueError(f"array {name!r} is one of {str(entry['type'])[:20]!r}, or no array")
        try:
            values = base64.b64decode(entry["base64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"array {name!r} is damaged: {error}") from error
        arrays[name] = _array(name, values, TYPES[entry["type"]], [_whole(n, "a side") for n in entry["shape"]], "C")
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


def _object(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError(f"{what} is no object with names")
    return value


def _keys(value: Any, needed: set[str], what: str, more: frozenset[str] = frozenset()) -> None:
    names = set(_object(value, what))
    if not needed <= names <= needed | more:
        odd = sorted((needed - names) | (names - needed - more))
        raise ValueError(f"{what} has {odd[0][:40]!r} missing or in excess")


def _list(value: Any, what: str, length: int | None = None) -> list[Any]:
    if type(value) is not list or (length is not None and len(value) != length):
        raise ValueError(f"{what} is no list" + ("" if length is None else f" of {length}"))
    return value


def _whole(value: Any, what: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{what} is {str(value)[:40]!r}, not a whole number")
    return value


def _text(value: Any, what: str) -> str:
    if type(value) is not str or not value.isprintable():
        raise ValueError(f"{what} is no text")
    return value


class _Reader:
    """Makes proofs of a header's entries; each array is taken once, and none may be left."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def certificate(self, header: Any, folder: Path) -> Certificate:
        version = FORMATS.get(str(_object(header, "the header").get("format")))
        if version is None:
            raise ValueError(f"its format is {str(header.get('format'))[:40]!r}, not one of {', '.join(FORMATS)}")
        if version == 1:
            _keys(header, {"format", "network", "proofs"}, "the header", frozenset({"files"}))
            names = ("", "")
            networks = _text(header["network"], "the network").split(" ")
        else:
            _keys(header, {"format", "networks", "property", "region", "files", "proofs"}, "the header")
            names = (_text(header["property"], "the property"), _text(header["region"], "the region"))
            networks = [_text(name, "a network") for name in _list(header["networks"], "networks")]
        proofs = tuple(self.proof(entry, f"proof {i}") for i, entry in enumerate(_list(header["proofs"], "proofs")))
        if not proofs:
            raise ValueError("it proves nothing")
        if self.arrays:
            raise ValueError(f"nothing names its array {next(iter(self.arrays))[:40]!r}")
        files = [Path(_text(file, "a file")) for file in _list(header.get("files", []), "files")]
        if len(files) > 2 or any(file.is_absolute() for file in files):
            raise ValueError("it names its files not as two, seen from itself")
        return Certificate(tuple(networks), *names, proofs, tuple(folder / f for f in files), 1 if version == 1 else 2)

    def take(self, name: Any) -> np.ndarray:
        if type(name) is not str or name not in self.arrays:
            raise ValueError(f"there is no array {str(name)[:40]!r}, or it is named twice")
        return self.arrays.pop(name)

    def pair(self, value: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
        one, two = _list(value, what, 2)
        return self.take(one), self.take(two)

    def by_node(self, content: Any, what: str) -> dict[int, Any]:
        for key in _object(content, what):
            if not re.fullmatch(r"0|[1-9][0-9]{0,9}", key):
                raise ValueError(f"{what} are named by {key[:40]!r}, which is no node")
        return {int(key): value for key, value in content.items()}

    def proof(self, entry: Any, what: str) -> Proof:
        needed = {"kind", "thorough", "region", "unsafe", "halvings", "tightened", "leaves"}
        _keys(entry, needed, what, frozenset({"places", "cuts", "inside"}))
        if entry["kind"] not in ("boxes", "signs") or type(entry["thorough"]) is not bool:
            raise ValueError(f"{what} is by {str(entry['kind'])[:40]!r}")
        one, two, three = (self.take(name) for name in _list(entry["halvings"], "bisections", 3))
        tightened = {}
        for at, content in self.by_node(entry["tightened"], "nodes to tighten").items():
            which, slopes = _list(content, "values to tighten and slopes", 2)
            tightened[at] = (self.take(which), self.named(slopes))
        return Proof(
            *self.pair(entry["region"], "a region"),
            tuple(self.pair(content, "an unsafe set") for content in _list(entry["unsafe"], "unsafe sets")),
            entry["kind"],
            entry["thorough"],
            (one, two, three),
            tuple(self.leaf(leaf) for leaf in _list(entry["leaves"], "leaves")),
            tightened,
            tuple(_whole(at, "a node") for at in _list(entry.get("places", []), "nodes")),
            self.pair(entry["cuts"], "linear input constraints") if "cuts" in entry else None,
            tuple(_whole(x, "a numerator") for x in _list(entry["inside"], "an input")) if "inside" in entry else None,
        )

    def named(self, content: Any) -> dict[int, np.ndarray]:
        return {at: self.take(name) for at, name in self.by_node(content, "slopes or multipliers").items()}

    def leaf(self, content: Any) -> SplitLeaf:
        _keys(content, {"unsafe", "row", "signs", "slopes", "multipliers"}, "a leaf")
        signs = []
        for sign in _list(content["signs"], "signs"):
            place, value, side = (_whole(x, "a sign") for x in _list(sign, "a sign", 3))
            signs.append((place, value, side))
        unsafe, row = _whole(content["unsafe"], "an unsafe set"), _whole(content["row"], "a row")
        return SplitLeaf(unsafe, row, tuple(signs), self.named(content["slopes"]), self.named(content["multipliers"]))


# Writing


def save_certificate(path: Path | str, certificate: Certificate) -> None:
    """Write a certificate as .npz, or as .json where the name ends so."""
    arrays: dict[str, np.ndarray] = {}

    def keep(name: str, array: np.ndarray) -> str:
        arrays[name] = np.ascontiguousarray(array)
        return name

    def kept(prefix: str, values: dict[int, np.ndarray]) -> dict[str, str]:
        return {str(at): keep(f"{prefix}/{at}", array) for at, array in values.items()}

    header: dict[str, Any] = {
        "format": "surefoot certificate 2",
        "networks": certificate.networks,
        "property": certificate.property,
        "region": certificate.region,
        "files": [os.path.relpath(file, Path(path).parent) for file in certificate.files],
        "proofs": [],
    }
    for p, proof in enumerate(certificate.proofs):
        entry: dict[str, Any] = {"kind": proof.kind, "thorough": proof.thorough, "places": proof.places}
        entry["region"] = [keep(f"{p}/lower", proof.lower), keep(f"{p}/upper", proof.upper)]
        entry["unsafe"] = [
            [keep(f"{p}/weights/{i}", w), keep(f"{p}/bounds/{i}", b)] for i, (w, b) in enumerate(proof.unsafe)
        ]
        entry["halvings"] = [keep(f"{p}/halvings/{i}", h) for i, h in enumerate(proof.bisections)]
        entry["tightened"] = {
            str(at): [keep(f"{p}/which/{at}", which), kept(f"{p}/slopes/{at}", slopes)]
            for at, (which, slopes) in proof.tightened.items()
        }
        if proof.constraints is not None:
            entry["cuts"] = [
                keep(f"{p}/{name}", end) for name, end in zip(("rows", "cut"), proof.constraints, strict=True)
            ]
            entry["inside"] = proof.inside
        entry["leaves"] = [
            {
                "unsafe": leaf.unsafe,
                "row": leaf.row,
                "signs": leaf.signs,
                "slopes": kept(f"{p}/leaf/{n}", leaf.slopes),
                "multipliers": kept(f"{p}/multiplier/{n}", leaf.multipliers),
            }
            for n, leaf in enumerate(proof.leaves)
        ]
        header["proofs"].append(entry)
    if Path(path).suffix == ".json":
        write_text(path, json.dumps(header | {"arrays": {name: _to_text(array) for name, array in arrays.items()}}))
        return
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _to_text(array: np.ndarray) -> dict[str, Any]:
    return {"type": array.dtype.name, "shape": array.shape, "base64": base64.b64encode(array.tobytes()).decode()}
