"""Certificates come back from files as they were, and nothing else is taken for one."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mutations import archive
from refined_proofs import refined_proof
from small_proofs import asked, by_boxes, by_signs, certified, distance, leaf
from surefoot.core.errors import FileError
from surefoot.proof import containers
from surefoot.proof.certificate import Certificate, SplitLeaf
from surefoot.proof.files import load_certificate, save_certificate
from surefoot.proof.property import check_property


def opened(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files}
    return json.loads(bytes(arrays.pop("header"))), arrays


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    save_certificate(tmp_path / "p.npz", certified(by_boxes(-0.1, (0, 0, 0.5))))
    return tmp_path / "p.npz"


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    slopes = {2: np.array([0.5, -0.0], dtype=np.float16)}
    signs = by_signs(-0.6, leaf((2, 0, 1)), SplitLeaf(0, 0, ((2, 0, -1),), slopes, {2: np.array([1e-30, 2.0])}))
    signs = replace(signs, tightened={1: (np.array([1, 0]), {})}, places=(1,), inside=(1, 3))
    signs = replace(signs, constraints=(np.ones((1, 1)).T, np.array([0.5])))
    held = Certificate(("a", "b"), "c", "d", (signs, by_boxes(-0.1, (0, 0, 0.5))), (tmp_path / "x" / "net.onnx",))
    save_certificate(tmp_path / f"p{suffix}", held)
    read = load_certificate(tmp_path / f"p{suffix}")
    assert (read.networks, read.property, read.region) == (held.networks, held.property, held.region)
    assert [file.resolve() for file in read.files] == [tmp_path / "x" / "net.onnx"]
    save_certificate(tmp_path / f"again{suffix}", read)
    if suffix == ".json":
        assert (tmp_path / "p.json").read_text() == (tmp_path / "again.json").read_text()
    one, two = read.proofs
    assert (one.places, one.inside, one.leaves[1].signs) == ((1,), (1, 3), ((2, 0, -1),))
    assert one.leaves[1].slopes[2].dtype == np.float16
    assert two.bisections[0].dtype == np.int64


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_refined_ends_are_read_as_they_are_written_and_files_without_them_as_before(
    tmp_path: Path, suffix: str
) -> None:
    _, proof = refined_proof(0)
    held = Certificate(("a",), "c", "d", (proof, by_boxes(-0.1)))
    save_certificate(tmp_path / f"p{suffix}", held)
    read, none = load_certificate(tmp_path / f"p{suffix}").proofs
    assert none.refined == {}
    assert read.refined.keys() == proof.refined.keys()
    for at, some in proof.refined.items():
        assert len(read.refined[at]) == len(some)
        for one, other in zip(some, read.refined[at], strict=True):
            for name, array in vars(one).items():
                assert getattr(other, name).dtype == array.dtype
                assert np.array_equal(getattr(other, name), array)
    if suffix == ".npz":
        header, _ = opened(tmp_path / "p.npz")
        assert ["refined" in entry for entry in header["proofs"]] == [True, False]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda some: some[0].pop(), "refined ends"), (lambda some: some[0].append(some[0][0]), "refined ends"),
        (lambda some: some.append(some[0]), "named twice"), (lambda some: some.append({}), "refined ends"),
        (lambda some: some.clear(), "nothing names"), (lambda some: some[0].__setitem__(0, 1), "no array"),
    ],
)  # fmt: skip
def test_refined_ends_that_name_other_arrays_are_refused(
    tmp_path: Path, change: Callable[[list[Any]], Any], why: str
) -> None:
    save_certificate(tmp_path / "p.npz", Certificate(("a",), "c", "d", (refined_proof(0)[1],)))
    header, arrays = opened(tmp_path / "p.npz")
    change(next(iter(header["proofs"][0]["refined"].values())))
    (tmp_path / "p.npz").write_bytes(archive(json.dumps(header).encode(), arrays))
    with pytest.raises(FileError, match=why):
        load_certificate(tmp_path / "p.npz")


def test_format_1_is_read_by_the_same_rules(proof: Path) -> None:
    header, arrays = opened(proof)
    header["format"], header["network"] = "surefoot certificate 1", header.pop("networks")[0]
    del header["property"], header["region"]
    proof.write_bytes(archive(json.dumps(header).encode(), arrays))
    assert check_property(load_certificate(proof), distance(), asked(-0.1)) > 0
    proof.write_bytes(archive(json.dumps(header | {"property": "x"}).encode(), arrays))
    with pytest.raises(FileError, match="property"):
        load_certificate(proof)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "surefoot certificate 3"}, "format"), ({"more": 1}, "'more'"), ({"networks": "x"}, "networks"),
        ({"networks": [1]}, "a network"), ({"proofs": []}, "proves nothing"), ({"proofs": {}}, "proofs"),
        ({"files": ["/etc/passwd"]}, "files"), ({"files": ["a"] * 3}, "files"), ({"files": ["a\0b"]}, "a file"),
        ({"files": ["\ud800"]}, "a file"), ({"region": None}, "the region"),
    ],
)  # fmt: skip
def test_a_header_with_anything_else_is_refused(proof: Path, change: dict[str, Any], why: str) -> None:
    header, arrays = opened(proof)
    proof.write_bytes(archive(json.dumps(header | change).encode(), arrays))
    with pytest.raises(FileError, match=why):
        load_certificate(proof)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "both"}, {"kind": ["boxes"]}, {"thorough": 0}, {"halvings": []}, {"region": ["0/lower", "0/lower"]},
        {"places": [True]}, {"places": [1.0]}, {"tightened": {"01": []}}, {"tightened": {"-1": []}}, {"cuts": [1, 2]},
        {"leaves": [{}]}, {"inside": [1.5]}, {"more": 0}, {"unsafe": [["0/weights/0", "0/bounds/0"]] * 2},
    ],
)  # fmt: skip
def test_a_proof_with_anything_else_is_refused(proof: Path, change: dict[str, Any]) -> None:
    header, arrays = opened(proof)
    header["proofs"][0] |= change
    proof.write_bytes(archive(json.dumps(header).encode(), arrays))
    with pytest.raises(FileError, match="not a certificate"):
        load_certificate(proof)


def test_text_that_json_readers_take_differently_is_refused(proof: Path) -> None:
    header, arrays = opened(proof)
    text = json.dumps(header)
    for odd in ('{"a": NaN,' + text[1:], '{"format": "x",' + text[1:], "[" * 10**5, text[:-1], "null", text + "{}"):
        proof.write_bytes(archive(odd.encode(), arrays))
        with pytest.raises(FileError, match="not a certificate"):
            load_certificate(proof)
    json_file = proof.with_suffix(".json")
    for odd in (
        '{"arrays": {}, "arrays": {}}',
        '{"arrays": {"a": {"type": "object", "shape": [], "base64": ""}}}',
        "{",
    ):
        json_file.write_text(odd)
        with pytest.raises(FileError, match="not a certificate"):
            load_certificate(json_file)


def test_archives_with_anything_else_are_refused(proof: Path) -> None:
    header, arrays = opened(proof)
    text, content = json.dumps(header).encode(), proof.read_bytes()
    odd = [
        archive(text, arrays, "0/lower"),
        archive(text, arrays | {"more": np.zeros(1)}),
        content[: len(content) // 2],
    ]
    odd.append(archive(text, arrays | {"0/lower": np.array([{}])}))
    odd.append(archive(text, {name: x for name, x in arrays.items() if name != "0/lower"}))
    file = io.BytesIO(archive(text, arrays))
    with zipfile.ZipFile(file, "a") as held:
        held.writestr("0/readme.txt", "no array")
    odd.append(file.getvalue())
    for damaged in odd:
        proof.write_bytes(damaged)
        with pytest.raises(FileError, match="not a certificate"):
            load_certificate(proof)


def test_what_claims_to_be_large_is_not_unpacked(proof: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, arrays = opened(proof)
    many = arrays | {"0/lower": np.zeros(10**6)}
    proof.write_bytes(archive(json.dumps(header).encode(), many, method=zipfile.ZIP_DEFLATED))
    assert proof.stat().st_size < 50_000
    with monkeypatch.context() as small:
        small.setattr(containers, "LARGEST_FILE", 10**6)
        with pytest.raises(FileError, match="unpacks to more"):
            load_certificate(proof)
    with monkeypatch.context() as small:
        small.setattr(containers, "LARGEST_TEXT", 10)
        with pytest.raises(FileError, match="bytes of JSON"):
            load_certificate(proof)
    huge = json.dumps({"type": "float64", "shape": [10**18], "base64": ""})
    proof.with_suffix(".json").write_text(json.dumps(header)[:-1] + f', "arrays": {{"0/lower": {huge}}}}}')
    with pytest.raises(FileError, match="has 0 bytes"):
        load_certificate(proof.with_suffix(".json"))


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read"):
        load_certificate(tmp_path / "none.npz")
    with pytest.raises(FileError, match="no file"):
        load_certificate(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="no file"):
        load_certificate(tmp_path / "pipe")
