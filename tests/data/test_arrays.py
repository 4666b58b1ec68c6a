"""A user's own arrays, and files that are none: refused by name."""

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.data import load_data


def test_a_users_arrays(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (100, 3, 4, 4), dtype=np.uint8), rng.integers(2, size=100)
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    data = load_data(str(tmp_path / "mine.npz"))
    assert data.name == "mine"
    assert data.shape == (3, 4, 4)
    assert data.train.x.max() <= 1


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros((3, 2))}, "arrays 'x'"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, "class indices"),
        ({"x": np.zeros((3, 2)), "y": np.array([0.5, 1, 2])}, "class indices"),
        ({"x": np.full((30, 2), np.nan), "y": np.arange(30) % 2}, "finite"),
        ({"x": np.zeros((30, 2)), "y": np.zeros(30, int)}, "two classes"),
        ({"x": np.zeros((30, 2)), "y": np.arange(30) % 20}, "at least 7"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}, "there must be rows"),
        ({"x": np.array([{}], dtype=object), "y": np.zeros(1, int)}, "arrays 'x'"),
    ],
)
def test_arrays_that_are_no_data_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises((InputError, FileError), match=said):
        load_data(str(tmp_path / "bad.npz"))


def test_missing_and_unknown_are_refused(tmp_path):
    with pytest.raises(FileError, match="cannot read"):
        load_data(str(tmp_path / "none.npz"))
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(FileError, match=r"must be an \.npz"):
        load_data(str(tmp_path / "text.npz"))
    with pytest.raises(InputError, match="there are: digits"):
        load_data("imagenet")
