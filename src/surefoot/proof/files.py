"""Certificates as files: one .npz (arrays, and a header in JSON), or one .json, which is larger.

Reading trusts nothing: what is no container of the right form (`containers`), an unknown or a missing entry, or an
array that nothing names or that is named twice is refused. That arrays are what they must be is left to `schema`, which
certificates from memory pass too.
"""

import base64
import json
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from surefoot.core.errors import FileError
from surefoot.core.files import whole_file, write_text
from surefoot.proof.certificate import Certificate, Proof, RefinedEnds, SplitLeaf
from surefoot.proof.containers import as_list, as_object, as_text, as_whole, check_keys, content_of, unpacked

FORMATS = {"surefoot certificate 1": 1, "surefoot certificate 2": 2}


def load_certificate(path: Path | str) -> Certificate:
    """Read a certificate.

    Raises:
        FileError: missing, damaged, too large, or no certificate.
    """
    content = content_of(Path(path))
    try:
        header, arrays = unpacked(content)
        return _Reader(arrays).certificate(header, Path(path).parent)
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise FileError(f"{path} is not a certificate, or a damaged one: {error}") from error


class _Reader:
    """Makes proofs of a header's entries; each array is taken once, and none may be left."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def certificate(self, header: Any, folder: Path) -> Certificate:
        version = FORMATS.get(str(as_object(header, "the header").get("format")))
        if version is None:
            raise ValueError(f"its format is {str(header.get('format'))[:40]!r}, not one of {', '.join(FORMATS)}")
        if version == 1:
            check_keys(header, {"format", "network", "proofs"}, "the header", frozenset({"files"}))
            names = ("", "")
            networks = as_text(header["network"], "the network").split(" ")
        else:
            check_keys(header, {"format", "networks", "property", "region", "files", "proofs"}, "the header")
            names = (as_text(header["property"], "the property"), as_text(header["region"], "the region"))
            networks = [as_text(name, "a network") for name in as_list(header["networks"], "networks")]
        proofs = tuple(self.proof(entry, f"proof {i}") for i, entry in enumerate(as_list(header["proofs"], "proofs")))
        if not proofs:
            raise ValueError("it proves nothing")
        if self.arrays:
            raise ValueError(f"nothing names its array {next(iter(self.arrays))[:40]!r}")
        files = [Path(as_text(file, "a file")) for file in as_list(header.get("files", []), "files")]
        if len(files) > 2 or any(file.is_absolute() for file in files):
            raise ValueError("it names its files not as two, seen from itself")
        return Certificate(tuple(networks), *names, proofs, tuple(folder / f for f in files), 1 if version == 1 else 2)

    def take(self, name: Any) -> np.ndarray:
        if type(name) is not str or name not in self.arrays:
            raise ValueError(f"there is no array {str(name)[:40]!r}, or it is named twice")
        return self.arrays.pop(name)

    def pair(self, value: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
        one, two = as_list(value, what, 2)
        return self.take(one), self.take(two)

    def by_node(self, content: Any, what: str) -> dict[int, Any]:
        for key in as_object(content, what):
            if not re.fullmatch(r"0|[1-9][0-9]{0,9}", key):
                raise ValueError(f"{what} are named by {key[:40]!r}, which is no node")
        return {int(key): value for key, value in content.items()}

    def proof(self, entry: Any, what: str) -> Proof:
        needed = {"kind", "thorough", "region", "unsafe", "halvings", "tightened", "leaves"}
        check_keys(entry, needed, what, frozenset({"places", "cuts", "inside", "refined"}))
        if entry["kind"] not in ("boxes", "signs") or type(entry["thorough"]) is not bool:
            raise ValueError(f"{what} is by {str(entry['kind'])[:40]!r}")
        one, two, three = (self.take(name) for name in as_list(entry["halvings"], "bisections", 3))
        tightened = {}
        for at, content in self.by_node(entry["tightened"], "nodes to tighten").items():
            which, slopes = as_list(content, "values to tighten and slopes", 2)
            tightened[at] = (self.take(which), self.named(slopes))
        return Proof(
            *self.pair(entry["region"], "a region"),
            tuple(self.pair(content, "an unsafe set") for content in as_list(entry["unsafe"], "unsafe sets")),
            entry["kind"],
            entry["thorough"],
            (one, two, three),
            tuple(self.leaf(leaf) for leaf in as_list(entry["leaves"], "leaves")),
            tightened,
            tuple(as_whole(at, "a node") for at in as_list(entry.get("places", []), "nodes")),
            self.pair(entry["cuts"], "linear input constraints") if "cuts" in entry else None,
            tuple(as_whole(x, "a numerator") for x in as_list(entry["inside"], "an input"))
            if "inside" in entry
            else None,
            {
                at: tuple(self.ends(names) for names in as_list(some, "ends of a node"))
                for at, some in self.by_node(entry.get("refined", {}), "nodes that are refined").items()
            },
        )

    def ends(self, names: Any) -> RefinedEnds:
        return RefinedEnds(*(self.take(name) for name in as_list(names, "refined ends", len(fields(RefinedEnds)))))

    def named(self, content: Any) -> dict[int, np.ndarray]:
        return {at: self.take(name) for at, name in self.by_node(content, "slopes or multipliers").items()}

    def leaf(self, content: Any) -> SplitLeaf:
        check_keys(content, {"unsafe", "row", "signs", "slopes", "multipliers"}, "a leaf")
        signs = []
        for sign in as_list(content["signs"], "signs"):
            place, value, side = (as_whole(x, "a sign") for x in as_list(sign, "a sign", 3))
            signs.append((place, value, side))
        unsafe, row = as_whole(content["unsafe"], "an unsafe set"), as_whole(content["row"], "a row")
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
        if proof.refined:
            entry["refined"] = {
                str(at): [
                    [keep(f"{p}/{f.name}/{at}/{n}", getattr(ends, f.name)) for f in fields(ends)]
                    for n, ends in enumerate(some)
                ]
                for at, some in proof.refined.items()
            }
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
