"""Many images: journals, and answers of several boxes."""

import json
from pathlib import Path

import numpy as np
import pytest

from networks import random_network
from surefoot.core.errors import FileError, InputError
from surefoot.graph.onnx_out import write_onnx
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import linf_ball
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.many import Settings, load_images, open_network, verify_many
from surefoot.verify.several import answer_all


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    write_onnx(random_network(3), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_a_stopped_run_goes_on(network_file: Path, tmp_path: Path) -> None:
    network = open_network(network_file)
    rng = np.random.default_rng(0)
    regions = [linf_ball(rng.normal(size=network.inputs), 0.01, -9, 9) for _ in range(6)]
    labels = [0, 1, 2, 0, 1, 2]
    settings = Settings(str(network_file), "auto", 5.0, 0)
    journal = tmp_path / "answers.jsonl"
    seen: list[int] = []
    answers = verify_many(settings, regions, labels, 1, journal, lambda i, _: seen.append(i))
    assert seen == list(range(6))
    lines = journal.read_text().splitlines()
    assert len(lines) == 6
    journal.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])  # killed in the middle of a line
    again = verify_many(settings, regions, labels, 2, journal)
    assert [a["verdict"] for a in again] == [a["verdict"] for a in answers]
    assert again[:3] == answers[:3]
    other = verify_many(Settings(str(network_file), "star", 5.0, 0), regions[:1], labels[:1], 1, journal)
    assert other[0]["verdict"] in ("holds", "violated", "unknown")
    (tmp_path / "bad.jsonl").write_text("no journal\n" + json.dumps({"key": "a", "answer": {}}) + "\n")
    with pytest.raises(FileError, match="not a journal"):
        verify_many(settings, regions, labels, 1, tmp_path / "bad.jsonl")


def test_a_property_of_several_boxes(network_file: Path) -> None:
    network = open_network(network_file)
    zeros = np.zeros(network.inputs)
    (y,) = network.run(zeros[None].astype(np.float32))
    out = Unsafe(np.eye(3)[:1], np.array([y[0] - 1.0]))
    inside = Unsafe(np.eye(3)[:1], np.array([y[0] + 1.0]))
    safe, broken = Query(InputSet(zeros, zeros), (out,)), Query(InputSet(zeros, zeros), (inside,))
    assert isinstance(answer_all(network, [safe, safe], 5.0, "auto", 0)[0], Holds)
    assert isinstance(answer_all(network, [safe, broken], 5.0, "auto", 0)[0], Violated)


def test_images_that_do_not_fit(network_file: Path, tmp_path: Path) -> None:
    network = open_network(network_file)
    path = tmp_path / "x.npz"
    good = np.zeros((2, network.inputs), np.float32)
    for x, y, words in (
        (good[:, :-1], np.zeros(2, int), "inputs of shape"),
        (good, np.array([0, 3]), "a label 3; the network has 3 classes"),
        (good, np.zeros(3, int), "are not inputs"),
        (good, np.array([0, -1]), "a label -1; classes are counted from 0"),
        (good + np.nan, np.zeros(2, int), "input 0 holds a value that is not finite"),
        (good[:0], np.zeros(0, int), "there must be rows"),
    ):
        np.savez(path, x=x, y=y)
        with pytest.raises(InputError, match=words):
            load_images(path, network)
    path.write_bytes(b"nothing")
    with pytest.raises(FileError, match="must be an"):
        load_images(path, network)
    np.savez(path, x=np.full((1, network.inputs), 255, np.uint8), y=np.zeros(1, int))
    assert load_images(path, network)[0].max() == 1.0


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(network_file: Path, tmp_path: Path) -> None:
    settings, path = Settings(str(network_file), "auto", 5.0, 0), tmp_path / "notes"
    answer = {"label": 0, "seconds": 0.1, "verdict": "holds", "margin": 1.0, "method": "box", "proven_for": ["real"]}
    entry = {"key": "0" * 32, "answer": answer}
    odd = [5, None, [], {}, {"verdict": "holds"}, answer | {"verdict": "maybe"}, answer | {"margin": "1"}]
    contents = [json.dumps(entry | {"answer": a}).encode() + b"\n" for a in odd]
    contents += [b"my only copy of the labels", b"one\ntwo", b"\xff\xfe\x00", b'{"labels": [1, 2]}', b"\n", b"x\n"]
    contents += [b'{"key": "mine", "answer": {}}', b"[" * 100_000 + b"\n", b'{"key": "' + b"0" * 32 + b'"}']
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(FileError, match="not a journal"):
            verify_many(settings, [], [], 1, path)
        assert path.read_bytes() == content
    with pytest.raises(FileError, match="no file"):
        verify_many(settings, [], [], 1, tmp_path)
    whole = json.dumps(entry)
    for cut in range(len(whole) + 1):
        path.write_text(whole + "\n" + whole[:cut])
        assert verify_many(settings, [], [], 1, path) == []
