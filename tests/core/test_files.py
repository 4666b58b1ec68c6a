"""Files are written whole or not at all."""

import errno
import json
import pickle

import pytest

from surefoot.core.errors import FileError
from surefoot.core.files import read_json, read_pairs, whole_file, write_json, write_text
from surefoot.core.tables import load_predictions
from surefoot.proof.files import load_certificate


def test_an_error_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_json_has_no_nan_and_folders_are_made(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"a": 1})
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"a": 1}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_places_that_cannot_be_written_or_read_are_named(tmp_path):
    with pytest.raises(FileError, match="it is a folder"):
        write_text(tmp_path, "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot write"):
        write_text(tmp_path / "file" / "inside.txt", "x")
    with pytest.raises(FileError, match="cannot read"):
        read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_bytes(b"\xff{")
    with pytest.raises(FileError, match="not a JSON file"):
        read_json(tmp_path / "bad.json")


def test_of_a_pickle_it_is_not_said_how_to_load_it(tmp_path):
    for name in ("table.npz", "table.npy"):
        (tmp_path / name).write_bytes(pickle.dumps({"logits": [1]}))
    readers = [
        lambda: read_pairs(tmp_path / "table.npz"),
        lambda: load_certificate(tmp_path / "table.npz"),
        lambda: load_predictions(tmp_path / "table.npz"),
        lambda: load_predictions(tmp_path / "table.npy", labels=tmp_path / "table.npy", kind="logits"),
    ]
    for read in readers:
        with pytest.raises(FileError) as refused:
            read()
        assert "trust" not in str(refused.value)
        assert "table.np" in str(refused.value)


def test_what_the_system_refuses_is_one_line_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(FileError, match=r"cannot write .*table\.json: No space left on device"),
        whole_file(tmp_path / "table.json"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())
