"""Forgeries of certificates: what someone would write who knows the check.

Each changes what a file holds, and says whether there was anything to change.
"""

import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from mutations import Forge, Held

REFINED: tuple[str, ...] = ("ends", "owners", "relus", "values", "signs", "duals")


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


def _refined(change: Callable[[dict[str, np.ndarray]], Any]) -> Forge:
    """Change the arrays of the refined ends with the most parts, by what they are called."""

    def forge(held: Held, rng: np.random.Generator) -> bool:
        some = [names for by_node in _entry(held).get("refined", {}).values() for names in by_node]
        if not some:
            return False
        names = max(some, key=lambda names: len(held.arrays[names[1]]))
        arrays = dict(zip(REFINED, (held.arrays[name] for name in names), strict=True))
        change(arrays)
        held.arrays |= dict(zip(names, (arrays[name] for name in REFINED), strict=True))
        return True

    return forge


def _only_parts(arrays: dict[str, np.ndarray], which: Any) -> None:
    arrays |= {name: arrays[name][which] for name in ("owners", "signs", "duals")}


def _one_part(arrays: dict[str, np.ndarray]) -> None:
    _only_parts(arrays, np.unique(arrays["owners"], return_index=True)[1])


def _corners(held: Held, rng: np.random.Generator) -> bool:
    """Bound each refined end in one part alone; where that is of no input its multipliers prove anything."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        shape = len(arrays["ends"]), len(arrays["relus"])
        arrays["owners"] = np.arange(shape[0])
        arrays["signs"] = rng.choice(np.array([1, -1], dtype=np.int8), shape)
        arrays["duals"] = np.full(shape, 1e3)

    return _refined(change)(held, rng)


def _refined_array(name: str, make: Callable[[np.ndarray], np.ndarray]) -> Forge:
    return _refined(lambda arrays: arrays.update({name: make(arrays[name])}))


def _bare_end(arrays: dict[str, np.ndarray]) -> None:
    """Name an end of which there is no part."""
    arrays["ends"] = np.append(arrays["ends"], np.setdiff1d([0, 1, 2, 3], arrays["ends"])[:1])


def _refined_elsewhere(shift: int) -> Forge:
    """Say that what is refined is another node: an earlier one would be bounded by what comes after it."""

    def forge(held: Held, rng: np.random.Generator) -> bool:
        refined = _entry(held).get("refined", {})
        _entry(held)["refined"] = {str(int(at) + shift): names for at, names in refined.items()}
        return bool(refined)

    return forge


def _no_refinement(held: Held, rng: np.random.Generator) -> bool:
    for by_node in _entry(held).pop("refined", {}).values():
        for names in by_node:
            for name in names:
                held.arrays.pop(name, None)
    return True


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
    "a node that is no ReLU": _only([[0, 0, 1]], [[0, 0, -1]], slopes={"0": "0/lower"}),
    "multipliers without a number": _each_multiplier(lambda m: np.full_like(m, np.nan)),
    "infinite multipliers": _each_multiplier(lambda m: np.full_like(m, np.inf)),
    "huge multipliers": _each_multiplier(lambda m: np.full_like(m, 1e30)),
    "multipliers of opposite sign": _each_multiplier(lambda m: -m),
    "multipliers that are a column": _each_multiplier(lambda m: m[:, None]),
    "slopes above one": _each_multiplier(lambda m: m + 2),
    "cut to nothing": _cut([]),
    "cut, and no input": _cut([0]),
    "cut, and an input over nothing": _cut([0, 0, 0]),
    "no refinement": _no_refinement,
    "a part left out of a refined end": _refined(lambda x: _only_parts(x, slice(1, None))),
    "a corner for each refined end": _corners,
    "one part for each refined end": _refined(_one_part),
    "one sign in all parts": _refined_array("signs", np.abs),
    "no sign in the parts": _refined_array("signs", np.zeros_like),
    "signs turned around": _refined_array("signs", lambda s: -s),
    "signs of another type": _refined_array("signs", lambda s: s.astype(np.int64)),
    "signs of two": _refined_array("signs", lambda s: 2 * s),
    "parts in another order": _refined_array("owners", lambda x: x[::-1]),
    "parts of one end": _refined_array("owners", np.zeros_like),
    "parts of an end that is not there": _refined_array("owners", lambda x: x + 1),
    "an end without parts": _refined(_bare_end),
    "upper ends for lower ones": _refined_array("ends", lambda x: x ^ 1),
    "ends twice": _refined_array("ends", np.zeros_like),
    "ends beyond the values": _refined_array("ends", lambda x: x + 1000),
    "multipliers below 0": _refined_array("duals", lambda x: -x - 1),
    "parts with huge multipliers": _refined_array("duals", lambda x: np.full(x.shape, 1e30)),
    "parts without a number": _refined_array("duals", lambda x: np.full_like(x, np.nan)),
    "a value for all signs": _refined_array("values", np.zeros_like),
    "signs of the last ReLU": _refined_array("relus", lambda x: np.full_like(x, 6)),
    "refined before it is known": _refined_elsewhere(-2),
    "refined after it is known": _refined_elsewhere(2),
    "no proof": _no_proof,
    "the first box alone": _first_alone,
    "format 1": _old,
    "pickles": _pickled,
}
