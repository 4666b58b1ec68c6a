"""Noise by its formula, CIFAR-10-C and SVHN as out-of-distribution inputs, a user's own pictures."""

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch.utils.data import Dataset

from image_files import bytes_images, png, write_pictures
from surefoot.core.errors import FileError, InputError
from surefoot.data import Data, Part, from_datasets, gaussian_noise, load_data, ood_parts


def known():
    part = Part(torch.from_numpy(bytes_images(20)), torch.arange(20) % 10)
    return Data("d", part, part, part, tuple(map(str, range(10))))


@pytest.mark.parametrize(("severity", "spread"), [(1, 0.04), (2, 0.06), (3, 0.08), (4, 0.09), (5, 0.10)])
def test_noise_has_the_published_spread(severity, spread):
    grey = np.full((50, 3, 32, 32), 128, dtype=np.uint8)
    noisy = gaussian_noise(grey, severity)
    assert noisy.dtype == np.uint8
    assert noisy.std() / 255 == pytest.approx(spread, rel=0.02)
    assert np.array_equal(gaussian_noise(grey, severity), noisy)


def test_noise_stays_within_bytes_and_refuses_other_severities():
    assert gaussian_noise(np.full((1, 1, 8, 8), 255, dtype=np.uint8), 5).min() > 100
    with pytest.raises(InputError, match="a severity is 1 to 5"):
        gaussian_noise(bytes_images(1), 6)


def test_out_of_distribution_inputs_are_noise_or_what_a_folder_holds(tmp_path):
    assert list(ood_parts(known())) == [f"noise {s}" for s in range(1, 6)]
    with pytest.raises(FileError, match="holds neither SVHN"):
        ood_parts(known(), tmp_path)
    images = bytes_images(30)
    savemat(tmp_path / "test_32x32.mat", {"X": images.transpose(2, 3, 1, 0), "y": np.ones((30, 1))})
    assert np.array_equal(ood_parts(known(), tmp_path)["svhn"].x.numpy(), images)
    stack = np.zeros((50_000, 32, 32, 3), dtype=np.uint8)
    stack[20_000:30_000] = 7
    np.save(tmp_path / "gaussian_noise.npy", stack)
    np.save(tmp_path / "labels.npy", np.tile(np.arange(10_000) % 10, 5))
    found = ood_parts(known(), tmp_path)
    assert (found["gaussian noise 3"].x == 7).all()
    assert (found["gaussian noise 2"].x == 0).all()


def test_noise_is_not_made_for_texts():
    part = Part(torch.zeros(4, 3, dtype=torch.int32), torch.arange(4) % 2)
    with pytest.raises(InputError, match="images in bytes"):
        ood_parts(Data("words", part, part, part, ("a", "b")))


@pytest.mark.parametrize("published", [True, False])
def test_a_users_own_folder_of_pictures(tmp_path, published):
    if published:
        write_pictures(tmp_path, classes=3)
    else:
        for i in range(60):
            path = tmp_path / f"class{i % 3}" / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png(bytes_images(1)[0]))
    data = load_data(str(tmp_path))
    assert data.class_names == ("class0", "class1", "class2")
    ready = data.prepare(data.train.x)
    assert ready.mean().abs() < 0.01
    assert ready.std() == pytest.approx(1, abs=0.01)
    with pytest.raises(InputError, match="at least two are needed"):
        load_data(str(tmp_path / "train" / "class0" if published else tmp_path / "class0"))


def test_a_folder_for_what_has_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder is for the files of a published set, not for 'digits'"):
        load_data("digits", folder=tmp_path)


class Pairs(Dataset[tuple[torch.Tensor, int]]):
    """Inputs and classes in a list, as a data set of PyTorch."""

    def __init__(self, pairs: list[tuple[torch.Tensor, int]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.pairs[i]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "is empty"),
        ([(torch.zeros(2), 0), (torch.zeros(3), 1)], r"row 1 has shape \(3,\), row 0 has \(2,\)"),
        ([(torch.zeros(2), 0), (torch.zeros(2), 2)], "row 1 is class 2, outside 0 to 1"),
    ],
)
def test_data_sets_of_pytorch_that_do_not_fit_are_refused(pairs, message):
    good = Pairs([(torch.full((2,), float(i)), i % 2) for i in range(30)])
    with pytest.raises(InputError, match=message):
        from_datasets("mine", good, Pairs(pairs), ("a", "b"))
