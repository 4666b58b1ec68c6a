"""Files are written whole or not at all."""

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import keep_inputs, map_array, read_arrays, read_json, whole_file, write_json, write_text
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
        lambda: read_arrays(tmp_path / "table.npz", ("x", "y")),
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


def test_links_are_followed_and_devices_and_pipes_are_written_to(tmp_path):
    target, link = tmp_path / "real.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    write_text(link, "one")
    assert link.is_symlink()
    assert target.read_text() == "one"
    null = Path(os.devnull)
    before = null.stat()
    write_text(null, "gone")
    assert (null.stat().st_rdev, null.stat().st_mode) == (before.st_rdev, before.st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.txt", "pipe", "real.txt"]


def test_outputs_are_no_inputs(tmp_path):
    one, two, link = (tmp_path / name for name in ("one", "two", "link"))
    one.write_text("x")
    link.symlink_to(one)
    hard = tmp_path / "hard"
    hard.hardlink_to(one)
    keep_inputs({"--out": two, "--page": None, "--log": Path(os.devnull)}, (one, None, Path(os.devnull), "0,1"))
    for given in (one, link, hard, tmp_path / "." / "one"):
        with pytest.raises(InputError, match="--out"):
            keep_inputs({"--out": given}, (one,))
    with pytest.raises(InputError, match="--page"):
        keep_inputs({"--out": two, "--page": two}, (one,))


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "t.json").write_text('{"a": {"weight": 1, "weight": 2}}')
    with pytest.raises(FileError, match="'weight' stands twice"):
        read_json(tmp_path / "t.json")


def test_arrays_are_mapped_and_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6.0))
    assert np.array_equal(map_array(tmp_path / "a.npy")[2:4], [2, 3])
    (tmp_path / "b.npy").write_bytes(pickle.dumps([1]))
    with pytest.raises(ValueError, match="magic string"):
        map_array(tmp_path / "b.npy")
