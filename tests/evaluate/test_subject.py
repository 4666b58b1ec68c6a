"""What is assessed: no row is both calibrated on and measured, and it is said where rows are from."""

from pathlib import Path

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.evaluate.subject import Rows, subject_of_data, subject_of_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 31 inputs that tell their number, and a file that stands for a network."""
    x = np.arange(31.0, dtype=np.float32)[:, None] * np.ones(4, np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(31) % 3, group=np.arange(31) % 2)
    (tmp_path / "net.v2.onnx.gz").write_bytes(b"")
    return tmp_path


def test_without_inputs_to_calibrate_on_each_half_is_for_one_thing(folder: Path) -> None:
    subject = subject_of_files(folder / "net.v2.onnx.gz", folder / "x.npz", None, folder, 0)
    calibration, test = (part.x[:, 0].astype(int) for part in (subject.validation, subject.test))
    assert sorted([*calibration, *test]) == list(range(31))
    assert abs(len(calibration) - len(test)) == 1
    for part in (subject.validation, subject.test):  # labels and groups stay with their inputs
        number = part.x[:, 0].astype(int)
        assert part.y.tolist() == (number % 3).tolist()
        assert part.group is not None
        assert part.group.tolist() == (number % 2).tolist()
    assert (subject.name, subject.values) == ("net.v2", (0.0, 30.0))
    again = subject_of_files(folder / "net.v2.onnx.gz", folder / "x.npz", None, folder, 0)
    other = subject_of_files(folder / "net.v2.onnx.gz", folder / "x.npz", None, folder, 1)
    assert np.array_equal(again.test.x, subject.test.x)
    assert not np.array_equal(other.test.x, subject.test.x)


def test_inputs_to_calibrate_on_are_taken_whole(folder: Path) -> None:
    np.savez(folder / "c.npz", x=np.full((5, 4), -1.0, np.float32), y=np.zeros(5, dtype=int))
    subject = subject_of_files(folder / "net.v2.onnx.gz", folder / "x.npz", folder / "c.npz", folder, 0)
    assert (len(subject.validation.y), len(subject.test.y)) == (5, 31)
    assert "c.npz" in subject.rows.calibration
    assert "whether the network was trained on them is not known" in subject.rows.sentence


def test_a_network_that_is_not_there_and_a_single_row_are_refused(folder: Path) -> None:
    with pytest.raises(FileError, match="there is no such file"):
        subject_of_files(folder / "none.onnx", folder / "x.npz", None, folder, 0)
    np.savez(folder / "one.npz", x=np.zeros((1, 4), np.float32), y=np.zeros(1, dtype=int))
    with pytest.raises(InputError, match="cannot be divided"):
        subject_of_files(folder / "net.v2.onnx.gz", folder / "one.npz", None, folder, 0)


def test_of_a_data_set_a_given_network_may_have_seen_the_rows(folder: Path) -> None:
    subject = subject_of_data(folder / "net.v2.onnx.gz", "digits", None, folder, 0, lambda _: None)
    assert subject.name == "net.v2 on digits"
    assert not subject.rows.unseen
    assert (subject.validation.x.shape[1:], subject.test.x.dtype) == ((1, 8, 8), np.float32)
    taken = {row.tobytes() for row in subject.validation.x}
    assert not any(row.tobytes() in taken for row in subject.test.x)


def test_rows_that_nothing_saw_are_called_so() -> None:
    assert "neither training nor the calibrator saw" in Rows("a", "b", unseen=True).sentence
