"""A certificate as what its file holds, and ways to damage that: arrays, header, and the bytes of the file."""

import base64
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

TYPES = ("int64", "int32", "uint8", "float16", "float32", "bool", "complex128", ">f8", ">i8", "U8", "O", "float64")
ODD = (np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e308, -1e308, 1e-300, -1.0, 0.0, 1.0, 2.0)
WRONG = (True, None, "1", 1.5, -1, 2**70, [], {}, 0, 1, [0], "0/lower", float("nan"), -(2**63))


@dataclass
class Held:
    """The content of a certificate's file: what is not an array, and the arrays."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def packed(self, suffix: str) -> bytes:
        """Return it as a file."""
        return self.text() if suffix == ".json" else archive(json.dumps(self.header).encode(), self.arrays)

    def text(self) -> bytes:
        """Return it as JSON."""

        def text(x: np.ndarray) -> dict[str, Any]:
            content = b"" if x.dtype.kind == "O" else x.tobytes()
            return {"type": x.dtype.name, "shape": x.shape, "base64": base64.b64encode(content).decode()}

        packed = {name: text(x) for name, x in self.arrays.items()}
        return json.dumps(self.header | {"arrays": packed}).encode()


def archive(header: bytes, arrays: dict[str, np.ndarray], twice: str = "", method: int = zipfile.ZIP_STORED) -> bytes:
    """Write an .npz as NumPy does; `twice` names an array that is there a second time, as zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as held:
        for name, array in ({"header": np.frombuffer(header, dtype=np.uint8)} | arrays).items():
            held.writestr(f"{name}.npy", _npy(array))
        if twice:
            file_name, array = f"{twice}.npy", np.zeros_like(arrays[twice])
            held.NameToInfo.pop(file_name)  # else it warns
            held.writestr(file_name, _npy(array))
    return file.getvalue()


def _npy(array: np.ndarray) -> bytes:
    part = io.BytesIO()
    np.save(part, array, allow_pickle=True)
    return part.getvalue()


Forge = Callable[[Held, np.random.Generator], bool]


def mutated(held: Held, suffix: str, rng: np.random.Generator) -> tuple[bytes, str]:
    """Return the file of a certificate after one to three mutations of its content, or of its bytes; and which."""
    names = []
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        name = str(rng.choice(list(MUTATIONS)))
        if MUTATIONS[name](held, rng):
            names.append(name)
    if rng.random() < 0.12:
        name = str(rng.choice(["cut off", "a byte", "twice", "text", "deflated", "before"]))
        return _bytes(held, suffix, rng, name), f"{name} {names}"
    return held.packed(suffix), " ".join(names) or "nothing"


def _bytes(held: Held, suffix: str, rng: np.random.Generator, name: str) -> bytes:
    content = bytearray(held.packed(suffix))
    match name:
        case "cut off":
            return bytes(content[: int(rng.integers(len(content)))])
        case "a byte":
            content[int(rng.integers(len(content)))] ^= int(rng.integers(1, 256))
            return bytes(content)
        case "twice" if held.arrays:
            return archive(json.dumps(held.header).encode(), held.arrays, str(rng.choice(list(held.arrays))))
        case "text":
            text = json.dumps(held.header)
            odd = ('{"a": NaN, ', '{"proofs": [], ', "[" * 5000, '{"format": "surefoot certificate 2", ', "{}", "null")
            return archive((str(rng.choice(odd)) + text[1:]).encode(), held.arrays)
        case "deflated":
            return archive(json.dumps(held.header).encode(), held.arrays, method=zipfile.ZIP_DEFLATED)
        case _:
            return b"PK" + bytes(content)


# Mutations of arrays


def _some(held: Held, rng: np.random.Generator) -> str:
    return str(rng.choice(list(held.arrays)))


def _type(held: Held, rng: np.random.Generator) -> bool:
    if not held.arrays:
        return False
    name = _some(held, rng)
    with np.errstate(all="ignore"):
        try:
            held.arrays[name] = held.arrays[name].astype(str(rng.choice(TYPES)))
        except (ValueError, TypeError, OverflowError):
            return False
    return True


def _shape(held: Held, rng: np.random.Generator) -> bool:
    if not held.arrays:
        return False
    name = _some(held, rng)
    x = np.atleast_1d(held.arrays[name])
    shapes = [x[None], x[..., None], x.T, x.ravel(), np.asfortranarray(x), x[:0], x[:-1], np.concatenate([x, x])]
    shapes += [x[:1], x[::-1], x.reshape(1, -1), x.reshape(-1, 1), np.broadcast_to(x, (2, *x.shape)).copy()]
    shapes += [x.ravel()[0]] if x.size else []
    held.arrays[name] = np.asarray(shapes[int(rng.integers(len(shapes)))])
    return True


def _value(held: Held, rng: np.random.Generator) -> bool:
    names = [name for name, x in held.arrays.items() if x.size and x.dtype.kind in "fiu"]
    if not names:
        return False
    name = str(rng.choice(names))
    x = held.arrays[name].copy()
    flat, at = x.reshape(-1), int(rng.integers(x.size))
    with np.errstate(all="ignore"):
        if x.dtype.kind == "f":
            flat[at] = rng.choice([*ODD, -flat[at], 2 * flat[at], flat[at] + 1, np.nextafter(flat[at], 9)])
        else:
            value = int(rng.choice([-1, 0, 1, 2, 7, 100, int(flat[at]) + 1, -(2**62), 2**62])) % 2**63
            flat[at] = np.int64(value).astype(x.dtype)
            flat[at] = flat[at] if rng.random() < 0.7 or x.dtype.kind == "u" else -1
    held.arrays[name] = x
    return True


def _order(held: Held, rng: np.random.Generator) -> bool:
    names = [name for name, x in held.arrays.items() if x.ndim and len(x) > 1]
    if not names:
        return False
    name = str(rng.choice(names))
    x = held.arrays[name]
    held.arrays[name] = x[rng.permutation(len(x))] if rng.random() < 0.5 else x[rng.integers(len(x), size=len(x))]
    return True


def _exchange(held: Held, rng: np.random.Generator) -> bool:
    if not held.arrays:
        return False
    one, two = _some(held, rng), _some(held, rng)
    held.arrays[one], held.arrays[two] = held.arrays[two], held.arrays[one]
    return True


def _missing(held: Held, rng: np.random.Generator) -> bool:
    if held.arrays:
        del held.arrays[_some(held, rng)]
    return True


def _more(held: Held, rng: np.random.Generator) -> bool:
    held.arrays[str(rng.choice(["more", "header2", "0/lower ", "0//lower"]))] = np.zeros(1)
    return True


# Mutations of the header


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Return every place of a JSON value, as (container, key)."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [node for key in keys for node in [(value, key), *_nodes(value[key])]]


def _place(held: Held, rng: np.random.Generator) -> tuple[Any, Any]:
    nodes = _nodes(held.header)
    return nodes[int(rng.integers(len(nodes)))]


def _other(held: Held, rng: np.random.Generator) -> bool:
    holder, key = _place(held, rng)
    holder[key] = WRONG[int(rng.integers(len(WRONG)))]
    return True


def _numbers(held: Held, rng: np.random.Generator) -> bool:
    nodes = [(a, b) for a, b in _nodes(held.header) if type(a[b]) in (int, bool)]
    if not nodes:
        return False
    holder, key = nodes[int(rng.integers(len(nodes)))]
    value = holder[key]
    holder[key] = (
        (not value)
        if isinstance(value, bool)
        else [value + 1, value - 1, -value, -1, float(value)][int(rng.integers(5))]
    )
    return True


def _gone(held: Held, rng: np.random.Generator) -> bool:
    holder, key = _place(held, rng)
    del holder[key]
    return True


def _lists(held: Held, rng: np.random.Generator) -> bool:
    nodes = [(a, b) for a, b in _nodes(held.header) if isinstance(a[b], list) and a[b]]
    if not nodes:
        return False
    holder, key = nodes[int(rng.integers(len(nodes)))]
    some = holder[key]
    at, other = int(rng.integers(len(some))), int(rng.integers(len(some)))
    match int(rng.integers(4)):
        case 0:
            some.append(some[at])
        case 1:
            del some[at]
        case 2:
            some.reverse()
        case _:
            some[at], some[other] = some[other], some[at]
    return True


def _keys(held: Held, rng: np.random.Generator) -> bool:
    nodes = [(a, b) for a, b in _nodes(held.header) if isinstance(a, dict)]
    holder, key = nodes[int(rng.integers(len(nodes)))]
    new = [f"{key} ", f"0{key}", "more", f"-{key}", "cuts", "places", "inside", "1", "2"][int(rng.integers(9))]
    holder[new] = holder[key] if rng.random() < 0.5 else holder.pop(key)
    return True


MUTATIONS: dict[str, Forge] = {
    "type": _type, "shape": _shape, "value": _value, "order": _order, "exchange": _exchange, "missing": _missing,
    "more": _more, "other": _other, "number": _numbers, "gone": _gone, "list": _lists, "keys": _keys,
}  # fmt: skip
