"""The door for a network's inputs: everything that does not fit is refused by name, bytes are scaled once."""

from pathlib import Path

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.core.inputs import read_inputs, read_labelled

GOOD = np.arange(12.0).reshape(3, 4)
CLASSES = np.array([0, 1, 2])


def write(tmp_path: Path, **arrays: np.ndarray) -> Path:
    np.savez(tmp_path / "x.npz", allow_pickle=True, **arrays)
    return tmp_path / "x.npz"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bytes_are_scaled_and_other_numbers_are_not(tmp_path: Path, dtype: type) -> None:
    whole = np.array([[0, 51, 255]], np.uint8)
    for x, expected in (
        (whole, [[0, dtype(51) / dtype(255), 1]]),
        (whole.astype(int), whole),
        (whole > 50, whole > 50),
    ):
        read = read_inputs(write(tmp_path, x=x), dtype=dtype)
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, np.asarray(expected, dtype))
        np.testing.assert_array_equal(read_labelled(write(tmp_path, x=x, y=np.zeros(1, int)), dtype=dtype).x, read)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (GOOD.astype(str), "is no table of inputs"),
        (GOOD.astype(complex), "is no table of inputs"),
        (GOOD[0], "is no table of inputs"),
        (np.array(1.0), "is no table of inputs"),
        (GOOD[:0], "there must be rows"),
        (np.where(GOOD == 6, np.nan, GOOD), "input 1 holds a value that is not finite"),
        (np.where(GOOD == 9, -np.inf, GOOD), "input 2 holds a value that is not finite"),
        (np.where(GOOD == 9, 1e300, GOOD), "input 2 holds a value that is not finite"),  # in float32
    ],
)
def test_what_is_no_table_of_inputs(tmp_path: Path, x: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_inputs(write(tmp_path, x=x), dtype=np.float32)
    if x.shape[:1]:
        labels = np.zeros(x.shape[:1], int)
        with pytest.raises(InputError, match=said if x.dtype.kind == "f" else "are not inputs"):
            read_labelled(write(tmp_path, x=x, y=labels), dtype=np.float32)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (CLASSES[:2], "class indices"),
        (CLASSES[:, None], "class indices"),
        (CLASSES.astype(float), "class indices"),
        (CLASSES - 1, "a label -1; classes are counted from 0"),
        (CLASSES + 1, "a label 3; the network has 3 classes"),
        (np.array([0, 1, 2**63], np.uint64), "the network has 3 classes"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, y: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labelled(write(tmp_path, x=GOOD, y=y), classes=3)


def test_the_networks_shape_and_groups(tmp_path: Path) -> None:
    path = write(tmp_path, x=GOOD, y=CLASSES, group=np.array(["a", "b", "a"]))
    assert read_inputs(path, (2, 2)).shape == GOOD.shape
    assert read_labelled(path).group is None
    assert read_labelled(path, (4,), 3, grouped=True).group.tolist() == ["a", "b", "a"]  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(InputError, match=r"inputs of shape \(4,\); the network takes \(5,\)"):
        read_inputs(path, (5,))
    with pytest.raises(InputError, match="`group` has shape"):
        read_labelled(write(tmp_path, x=GOOD, y=CLASSES, group=np.zeros(2)), grouped=True)
    assert read_inputs(write(tmp_path, x=np.arange(3.0)), (1,)).tolist() == [0, 1, 2]  # one number an input


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read"):
        read_inputs(tmp_path / "none.npz")
    with pytest.raises(FileError, match="an array 'x'"):
        read_inputs(write(tmp_path, z=GOOD))
    with pytest.raises(FileError, match="arrays 'x' and 'y'"):
        read_labelled(write(tmp_path, x=GOOD))
    with pytest.raises(FileError, match=r"must be an \.npz file"):
        read_inputs(write(tmp_path, x=np.array([{}], dtype=object)))


def test_a_network_of_one_output_has_no_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two outputs or more; this one gives 1"):
        read_labelled(write(tmp_path, x=GOOD, y=np.zeros(3, int)), classes=1)
