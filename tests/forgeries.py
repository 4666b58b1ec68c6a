"""Ways to damage and to forge a certificate, on its header, its arrays and the bytes of its file."""

import base64
import io
import json
import pickle
import struct
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
            held.filelist = [entry for entry in held.filelist]
            held.NameToInfo.pop(file_name, None)
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
            flat[at] = int(rng.choice([-1, 0, 1, 2, 7, 100, int(flat[at]) + 1, -(2**62), 2**62])) % 2**63
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


# Forgeries: what someone would write who knows the check; each says whether there was anything to forge


def _entry(held: Held) -> dict[str, Any]:
    return held.header["proofs"][0]


def _array(held: Held, name: str, make: Callable[[np.ndarray], np.ndarray]) -> bool:
    held.arrays[name] = make(held.arrays[name])
    return True


def _region(end: int, make: Callable[[np.ndarray], np.ndarray]) -> Forge:
    return lambda held, rng: _array(held, _entry(held)["region"][end], make)


def _halvings(*rows: tuple[int, int, float]) -> Forge:
    def forge(held: Held, rng: np.random.Generator) -> bool:
        for name, values, type_ in zip(
            _entry(held)["halvings"], zip(*rows, strict=True), (int, int, float), strict=True
        ):
            held.arrays[name] = np.array(values, dtype=type_)
        _entry(held)["kind"] = "boxes"
        for leaf in _entry(held)["leaves"]:
            _drop(held, leaf)
        _entry(held)["leaves"] = []
        return True

    return forge


def _drop(held: Held, leaf: dict[str, Any]) -> None:
    for name in [*leaf["slopes"].values(), *leaf["multipliers"].values()]:
        held.arrays.pop(name, None)


def _integer_region(held: Held, rng: np.random.Generator) -> bool:
    """Cut off all but a sliver by a halving that a region of integers rounds."""
    low, high = (held.arrays[name] for name in _entry(held)["region"])
    _halvings((0, 0, float(low[0] + 0.999 * (high[0] - low[0]))))(held, rng)
    held.arrays[_entry(held)["region"][1]] = np.ceil(high).astype(np.int64)
    return True


def _bounds(make: Callable[[np.ndarray], np.ndarray]) -> Forge:
    return lambda held, rng: bool(_entry(held)["unsafe"]) and _array(held, _entry(held)["unsafe"][0][1], make)


def _weights(make: Callable[[np.ndarray], np.ndarray]) -> Forge:
    return lambda held, rng: bool(_entry(held)["unsafe"]) and _array(held, _entry(held)["unsafe"][0][0], make)


def _joined(held: Held, rng: np.random.Generator) -> bool:
    """Make one conjunction of several sets, whose bytes are the same where they are joined."""
    unsafe = _entry(held)["unsafe"]
    if len(unsafe) < 2:
        return False
    (one, bound), (two, other) = unsafe[:2]
    held.arrays[one] = np.concatenate([held.arrays[one], held.arrays.pop(two)])
    held.arrays[bound] = np.concatenate([held.arrays[bound], held.arrays.pop(other)])
    del unsafe[1]
    return True


def _bytes_joined(held: Held, rng: np.random.Generator) -> bool:
    """Make one set of several, whose numbers are the bytes of all with bars between them."""
    unsafe = _entry(held)["unsafe"]
    if not unsafe:
        return False
    columns = held.arrays[unsafe[0][0]].shape[-1]
    parts = [held.arrays[name] for pair in unsafe for name in pair]
    content = b"|".join(part.tobytes() for part in parts[:-1])
    if len(content) % (8 * columns):
        return False
    held.arrays["joined"], held.arrays["bound"] = np.frombuffer(content).reshape(-1, columns), parts[-1]
    for pair in unsafe:
        for name in pair:
            del held.arrays[name]
    _entry(held)["unsafe"] = [["joined", "bound"]]
    return True


def _fewer(held: Held, rng: np.random.Generator) -> bool:
    """Leave out an unsafe set."""
    unsafe = _entry(held)["unsafe"]
    if not unsafe:
        return False
    for name in unsafe.pop(int(rng.integers(len(unsafe)))):
        held.arrays.pop(name)
    return True


def _tightened(make: Callable[[int], np.ndarray]) -> Forge:
    def forge(held: Held, rng: np.random.Generator) -> bool:
        for at, (name, slopes) in _entry(held)["tightened"].items():
            held.arrays[name] = make(len(held.arrays[name]))
            for key in slopes.values():
                held.arrays.pop(key, None)
            _entry(held)["tightened"][at] = [name, {}]
            return True
        _entry(held)["tightened"] = {"1": ["forged", {}]}
        held.arrays["forged"] = make(2)
        return True

    return forge


def _leaves(change: Callable[[list[dict[str, Any]], Held], Any]) -> Forge:
    def forge(held: Held, rng: np.random.Generator) -> bool:
        leaves = _entry(held)["leaves"]
        if not leaves:
            return False
        change(leaves, held)
        return True

    return forge


def _bare(signs: list[list[Any]], **more: Any) -> dict[str, Any]:
    return {"unsafe": 0, "row": 0, "signs": signs, "slopes": {}, "multipliers": {}} | more


def _only(*signs: list[list[Any]], **more: Any) -> Forge:
    """Let leaves be these alone."""

    def change(leaves: list[dict[str, Any]], held: Held) -> None:
        for leaf in leaves:
            _drop(held, leaf)
        place = next((s[0] for leaf in leaves for s in leaf["signs"]), 2)
        leaves[:] = [_bare([[place, *s[1:]] for s in some], **more) for some in signs]

    return _leaves(change)


def _each_multiplier(make: Callable[[np.ndarray], np.ndarray]) -> Forge:
    def change(leaves: list[dict[str, Any]], held: Held) -> None:
        for leaf in leaves:
            for name in [*leaf["multipliers"].values(), *leaf["slopes"].values()]:
                held.arrays[name] = make(held.arrays[name])

    return _leaves(change)


def _cut(inside: list[int]) -> Forge:
    """Say that a row cuts the region, down to where nothing is left or to a corner."""

    def forge(held: Held, rng: np.random.Generator) -> bool:
        for number, entry in enumerate(held.header["proofs"]):
            d = len(held.arrays[entry["region"][0]])
            entry["cuts"] = [f"{number}/rows", f"{number}/cut"]
            entry["inside"] = inside or [0] * d + [1]
            held.arrays[f"{number}/rows"], held.arrays[f"{number}/cut"] = np.ones((1, d)), np.array([-1e3])
        return True

    return forge


def _no_proof(held: Held, rng: np.random.Generator) -> bool:
    held.header["proofs"] = []
    held.arrays.clear()
    return True


def _first_alone(held: Held, rng: np.random.Generator) -> bool:
    """Prove the first box twice, and the others not at all."""
    proofs = held.header["proofs"]
    if len(proofs) < 2:
        return False
    proofs[1] = proofs[0]
    return True


def _old(held: Held, rng: np.random.Generator) -> bool:
    """Say it is of format 1, which names no property."""
    header = held.header
    header["format"], header["network"] = "surefoot certificate 1", " ".join(header.pop("networks"))
    del header["property"], header["region"]
    return True


def _pickled(held: Held, rng: np.random.Generator) -> bool:
    name = _entry(held)["region"][0]
    held.arrays[name] = np.array([pickle.dumps(1), struct.pack("<d", 0.0)], dtype=object)
    return True


FORGERIES: dict[str, Forge] = {
    "integer region": _integer_region,
    "integer ends": _region(1, lambda x: x.astype(np.int64)),
    "a region that is a column": _region(0, lambda x: x[:, None]),
    "a region without a number": _region(0, lambda x: np.full_like(x, np.nan)),
    "a region of infinite ends": _region(1, lambda x: np.full_like(x, np.inf)),
    "a region turned around": _region(0, lambda x: x + 10),
    "a region shrunk": _region(1, lambda x: x - 0.05 * np.abs(x)),
    "bounds that are a column": _bounds(lambda b: b[:, None]),
    "bounds that are a row": _bounds(lambda b: b[None]),
    "bounds without a number": _bounds(lambda b: np.full_like(b, np.nan)),
    "bounds below all": _bounds(lambda b: np.full_like(b, -1e308)),
    "infinite bounds": _bounds(lambda b: np.full_like(b, -np.inf)),
    "bounds one too many": _bounds(lambda b: np.append(b, -1e9)),
    "weights of nothing": _weights(lambda w: 0 * w),
    "weights without rows": _weights(lambda w: w[:0]),
    "weights with a row for all": _weights(lambda w: w[:1, :1]),
    "weights in three dimensions": _weights(lambda w: w[None]),
    "infinite weights": _weights(lambda w: np.full_like(w, np.inf)),
    "weights of opposite sign": _weights(lambda w: -w),
    "sets joined": _joined,
    "bytes of sets joined": _bytes_joined,
    "a set left out": _fewer,
    "values to tighten in two dimensions": _tightened(lambda n: np.arange(max(n, 2))[None]),
    "values to tighten from the end": _tightened(lambda n: np.array([-1, 0])),
    "values to tighten twice": _tightened(lambda n: np.array([0, 0])),
    "values to tighten as truth": _tightened(lambda n: np.array([True, False])),
    "a halving outside": _halvings((0, 0, 1e9)),
    "a halving at nothing": _halvings((0, 0, float("nan"))),
    "a halving along the last axis from the end": _halvings((0, -1, 0.0)),
    "a box from the end": _halvings((0, 0, 0.0), (-1, 0, 0.0)),
    "a box halved twice": _halvings((0, 0, 0.0), (0, 0, 0.0)),
    "a box that is not there": _halvings((5, 0, 0.0)),
    "a box before it is made": _halvings((1, 0, 0.0), (0, 0, 0.0)),
    "a leaf left out": _leaves(lambda leaves, held: _drop(held, leaves.pop())),
    "one side of a sign": _only([[0, 0, 1]]),
    "a sign twice": _only([[0, 0, 1]], [[0, 0, 1]]),
    "a sign that is none": _only([[0, 0, 0]], [[0, 0, 1]]),
    "a sign that is true": _only([[0, 0, True]], [[0, 0, -1]]),
    "signs of a value from the end": _only([[0, -1, 1]], [[0, 3, -1]]),
    "both signs in one part": _only([[0, 0, 1], [0, 0, -1]], [[0, 0, -1]], [[0, 0, 1], [0, 0, 1]]),
    "a part in another": _only([], [[0, 0, 1]], [[0, 0, -1]]),
    "a row from the end": _only([], row=-1),
    "a row that is not there": _only([], row=7),
    "a set from the end": _only([], unsafe=-1),
    "a node that is no rectifier": _only([[0, 0, 1]], [[0, 0, -1]], slopes={"0": "0/lower"}),
    "multipliers without a number": _each_multiplier(lambda m: np.full_like(m, np.nan)),
    "infinite multipliers": _each_multiplier(lambda m: np.full_like(m, np.inf)),
    "huge multipliers": _each_multiplier(lambda m: np.full_like(m, 1e30)),
    "multipliers of opposite sign": _each_multiplier(lambda m: -m),
    "multipliers that are a column": _each_multiplier(lambda m: m[:, None]),
    "slopes above one": _each_multiplier(lambda m: m + 2),
    "cut to nothing": _cut([]),
    "cut, and no input": _cut([0]),
    "cut, and an input over nothing": _cut([0, 0, 0]),
    "no proof": _no_proof,
    "the first box alone": _first_alone,
    "format 1": _old,
    "pickles": _pickled,
}
