"""Certificates: what a proof consists of, as a file that another program can check.

A proof divides the question (by halving boxes, or by deciding signs) and proves each part by one pass of
back-substitution, whose slopes and multipliers it names. The checker divides again, finds that nothing is missing, and
computes each bound anew.
"""

import base64
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import open_npz, whole_file, write_text
from surefoot.graph.graph import Graph
from surefoot.reach.checker import Checker

_FORMAT = "surefoot certificate 1"
Signs = tuple[tuple[int, int, int], ...]  # (rectifier, value, 1 or -1)


@dataclass(frozen=True, eq=False)
class SignLeaf:
    """One part of a proof by signs: of which unsafe set, under which signs, with which row, slopes and multipliers."""

    unsafe: int
    row: int
    signs: Signs
    slopes: dict[int, np.ndarray]
    multipliers: dict[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class Proof:
    """The proof that no input of a box has an output in any of the unsafe sets (weights y <= bounds, all rows).

    `halvings` are (box, axis, place), n of each: the box is cut along the axis, its halves get the next two numbers not
    yet given; whatever is not cut is proven whole. `leaves` are there instead for a proof by signs.
    """

    lower: np.ndarray
    upper: np.ndarray
    unsafe: tuple[tuple[np.ndarray, np.ndarray], ...]
    kind: Literal["boxes", "signs"]
    thorough: bool = False  # boxes: whether parallel lines are to be tried too
    halvings: tuple[np.ndarray, np.ndarray, np.ndarray] = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    leaves: tuple[SignLeaf, ...] = ()
    tightened: dict[int, tuple[np.ndarray, dict[int, np.ndarray]]] = field(default_factory=dict)
    places: tuple[int, ...] = ()  # the node that each unsafe set speaks of; empty: all of the output
    cuts: tuple[np.ndarray, np.ndarray] | None = None  # rows and bounds: of the box the inputs with rows x <= bounds


@dataclass(frozen=True, eq=False)
class Certificate:
    """Proofs of what one network (or several) does, named by the SHA-256 of its file.

    `files` are where the network, and the property or the other network, were found: a hint, nothing is proven by it.
    """

    network: str
    proofs: tuple[Proof, ...]
    files: tuple[Path, ...] = ()


def check(certificate: Certificate, graph: Graph) -> float:
    """Check every proof of a certificate; return the least margin that was found, which is above 0.

    Raises:
        InputError: a part that is missing, or that is not proven.

    Property: sound in real arithmetic, by the code of `reach.checker` alone.
    """
    checker = Checker(graph)
    try:
        return min(_check(proof, checker) for proof in certificate.proofs)
    except InputError:
        raise
    except (ValueError, IndexError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"the certificate does not fit the network: {error}") from error


def _check(proof: Proof, checker: Checker) -> float:
    if proof.cuts is not None:
        raise InputError("the certificate speaks of a part of a box: it is no proof of a property")
    return _check_boxes(proof, checker) if proof.kind == "boxes" else _check_signs(proof, checker)


def _missed(proof: Proof, checker: Checker, lower: np.ndarray, upper: np.ndarray) -> float:
    boxes = checker.boxes(lower, upper, thorough=proof.thorough)
    out = len(checker.graph.nodes) - 1
    margins = [np.inf]
    for weights, bounds in proof.unsafe:
        found = checker.bound(out, weights, boxes)
        if proof.thorough:
            found = np.maximum(found, checker.bound(out, weights, boxes, checker.parallel(out, boxes)))
        found = found - bounds
        margins.append(float((found - 4e-16 * np.abs(bounds)).max()))
    return float(np.min(margins))  # not a number, if one is not: `min` might pass over it


def _check_boxes(proof: Proof, checker: Checker) -> float:
    parents, axes, places = proof.halvings
    boxes: list[tuple[np.ndarray, np.ndarray] | None] = [(proof.lower, proof.upper)]
    for parent, axis, place in zip(parents.tolist(), axes.tolist(), places.tolist(), strict=True):
        box = boxes[parent] if 0 <= parent < len(boxes) else None
        if box is None or not 0 <= axis < len(proof.lower) or not box[0][axis] <= place <= box[1][axis]:
            raise InputError(f"the certificate halves box {parent}, which is not there or not cut at {place}")
        left, right = box[1].copy(), box[0].copy()
        left[axis] = right[axis] = place
        boxes[parent] = None
        boxes += [(box[0], left), (right, box[1])]
    least = np.inf
    for number, box in enumerate(boxes):
        if box is not None:
            margin = _missed(proof, checker, *box)
            if not margin > 0:
                raise InputError(f"box {number} is not proven: its margin is {margin:g}")
            least = min(least, margin)
    return least


def _check_signs(proof: Proof, checker: Checker) -> float:
    if proof.places:
        raise InputError("the certificate speaks of inner nodes: it is no proof of a property")
    boxes = checker.boxes(proof.lower, proof.upper, proof.tightened)
    out = len(checker.graph.nodes) - 1
    return min((_check_set(proof, checker, boxes, number, out) for number in range(len(proof.unsafe))), default=np.inf)


def check_units(proof: Proof, graph: Graph) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return boxes of all nodes, each set of the proof used to decide a sign once it has been checked.

    Raises:
        InputError: a set that is not proven, or that does not speak of the sign of one value.
    """
    checker = Checker(graph, proof.cuts)

    def decide(at: int, boxes: list[tuple[np.ndarray, np.ndarray]]) -> None:
        for number in [n for n, place in enumerate(proof.places) if place == at]:
            (row,), (bound,) = proof.unsafe[number]
            (value,) = np.flatnonzero(row)
            if bound != 0 or abs(row[value]) != 1:
                raise InputError("the certificate speaks of more than the sign of a value")
            _check_set(proof, checker, boxes, number, at)
            low, high = boxes[at]
            if row[value] > 0:
                low[value] = max(low[value], 0.0)
            else:
                high[value] = min(high[value], 0.0)

    try:
        return checker.boxes(proof.lower, proof.upper, proof.tightened, decide=decide)
    except InputError:
        raise
    except (ValueError, IndexError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"the certificate does not fit the network: {error}") from error


def _check_set(
    proof: Proof, checker: Checker, boxes: list[tuple[np.ndarray, np.ndarray]], number: int, target: int
) -> float:
    """Check that the values of a node miss one unsafe set, part by part; return the least margin."""
    weights, bounds = proof.unsafe[number]
    leaves = [leaf for leaf in proof.leaves if leaf.unsafe == number]
    _cover([leaf.signs for leaf in leaves], 0)
    least = np.inf
    for leaf in leaves:
        cut = list(boxes)
        allowed: dict[int, np.ndarray] = {}
        for place, value, sign in leaf.signs:
            entering = checker.graph.nodes[place].inputs[0]
            low, high = (end.copy() for end in cut[entering])
            low[value] = max(low[value], 0.0) if sign > 0 else low[value]
            high[value] = min(high[value], 0.0) if sign < 0 else high[value]
            cut[entering] = (low, high)
            allowed.setdefault(place, np.zeros(len(low)))[value] = sign
        multipliers = {
            place: np.where(mask * leaf.multipliers[place] > 0, leaf.multipliers[place], 0.0)
            for place, mask in allowed.items()
            if place in leaf.multipliers
        }
        found = checker.bound(target, weights[leaf.row : leaf.row + 1], cut, leaf.slopes, multipliers)[0]
        margin = float(found - bounds[leaf.row] - 4e-16 * abs(bounds[leaf.row]))
        if not margin > 0:
            raise InputError(f"a part of unsafe set {number} with {len(leaf.signs)} signs is not proven: {margin:g}")
        least = min(least, margin)
    return least


def _cover(parts: list[Signs], depth: int) -> None:
    """See that parts leave nothing out: at each depth all decide the same value, and both signs are there."""
    if not parts:
        raise InputError("a part of the proof is missing")
    if any(len(signs) == depth for signs in parts):
        if len(parts) > 1:
            raise InputError("a part of the proof lies in another")
        return
    if len({signs[depth][:2] for signs in parts}) != 1:
        raise InputError("parts of the proof decide different values")
    for sign in (1, -1):
        _cover([signs for signs in parts if signs[depth][2] == sign], depth + 1)


# Files


def save_certificate(path: Path | str, certificate: Certificate) -> None:
    """Write a certificate as one .npz file (arrays, and a header in JSON), or as one .json file, which is larger."""
    arrays: dict[str, np.ndarray] = {}

    def keep(name: str, array: np.ndarray) -> str:
        arrays[name] = array
        return name

    beside = [os.path.relpath(file, Path(path).parent) for file in certificate.files]
    header: dict[str, Any] = {"format": _FORMAT, "network": certificate.network, "files": beside, "proofs": []}
    for p, proof in enumerate(certificate.proofs):
        entry: dict[str, Any] = {"kind": proof.kind, "thorough": proof.thorough}
        entry["region"] = [keep(f"{p}/lower", proof.lower), keep(f"{p}/upper", proof.upper)]
        entry["unsafe"] = [
            [keep(f"{p}/weights/{i}", w), keep(f"{p}/bounds/{i}", b)] for i, (w, b) in enumerate(proof.unsafe)
        ]
        entry["halvings"] = [keep(f"{p}/halvings/{i}", h) for i, h in enumerate(proof.halvings)]
        entry["tightened"] = {
            str(at): [
                keep(f"{p}/which/{at}", which),
                {str(r): keep(f"{p}/slopes/{at}/{r}", s) for r, s in slopes.items()},
            ]
            for at, (which, slopes) in proof.tightened.items()
        }
        entry["places"] = proof.places
        if proof.cuts is not None:
            entry["cuts"] = [keep(f"{p}/{name}", end) for name, end in zip(("rows", "cut"), proof.cuts, strict=True)]
        entry["leaves"] = [
            {
                "unsafe": leaf.unsafe,
                "row": leaf.row,
                "signs": leaf.signs,
                "slopes": {str(r): keep(f"{p}/leaf/{n}/{r}", s) for r, s in leaf.slopes.items()},
                "multipliers": {str(r): keep(f"{p}/multiplier/{n}/{r}", s) for r, s in leaf.multipliers.items()},
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


def load_certificate(path: Path | str) -> Certificate:
    """Read a certificate.

    Raises:
        FileError: missing, damaged, or no certificate.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    try:
        if content.lstrip()[:1] == b"{":
            header = json.loads(content)
            arrays = {name: _from_text(held) for name, held in header["arrays"].items()}
        else:
            with open_npz(io.BytesIO(content)) as held:
                arrays = {name: held[name] for name in held.files}
            header = json.loads(bytes(arrays["header"]))
        if header["format"] != _FORMAT:
            raise FileError(f"{path} is a certificate of another format: {header['format']!r}")
        proofs = tuple(_proof(entry, arrays) for entry in header["proofs"])
        if not proofs:
            raise FileError(f"{path} proves nothing")
        files = tuple(Path(path).parent / str(file) for file in header.get("files", ()))
        return Certificate(str(header["network"]), proofs, files)
    except FileError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise FileError(f"{path} is not a certificate, or a damaged one: {error}") from error


def _to_text(array: np.ndarray) -> dict[str, Any]:
    packed = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": str(array.dtype), "shape": array.shape, "base64": packed}


def _from_text(held: dict[str, Any]) -> np.ndarray:
    if held["type"] not in ("float16", "float32", "float64", "int64"):
        raise ValueError(f"an array of {held['type']!r}")
    values = np.frombuffer(base64.b64decode(held["base64"], validate=True), dtype=held["type"])
    return values.reshape(held["shape"]).copy()


def _proof(entry: dict[str, Any], arrays: Any) -> Proof:
    def slopes(named: dict[str, str]) -> dict[int, np.ndarray]:
        return {int(at): arrays[name].astype(np.float64) for at, name in named.items()}

    if entry["kind"] not in ("boxes", "signs"):
        raise ValueError(f"a proof by {entry['kind']!r}")
    parents, axes, places = (arrays[name] for name in entry["halvings"])
    return Proof(
        arrays[entry["region"][0]],
        arrays[entry["region"][1]],
        tuple((arrays[w], arrays[b]) for w, b in entry["unsafe"]),
        entry["kind"],
        bool(entry["thorough"]),
        (parents, axes, places),
        tuple(
            SignLeaf(
                int(leaf["unsafe"]),
                int(leaf["row"]),
                tuple((int(a), int(b), int(c)) for a, b, c in leaf["signs"]),
                slopes(leaf["slopes"]),
                slopes(leaf["multipliers"]),
            )
            for leaf in entry["leaves"]
        ),
        {int(at): (arrays[which], slopes(named)) for at, (which, named) in entry["tightened"].items()},
        tuple(int(at) for at in entry.get("places", ())),
        (arrays[entry["cuts"][0]], arrays[entry["cuts"][1]]) if "cuts" in entry else None,
    )
