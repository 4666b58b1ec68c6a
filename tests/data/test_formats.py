"""The formats of published image sets: written as published, read back to the byte; damaged ones refused by name."""

import gzip
import lzma
import os
import pickle

import numpy as np
import pytest

from image_files import (
    bytes_images,
    png,
    write_cifar10,
    write_cifar100,
    write_mnist,
    write_parquet,
    write_pictures,
    write_svhn,
    write_tiny,
)
from surefoot.core.errors import FileError
from surefoot.data import formats, load_data

WRITERS = {
    "mnist plain": ("mnist", write_mnist),
    "mnist gz": ("mnist", lambda f: write_mnist(f, gzip.compress, ".gz")),
    "fashion xz": ("fashion-mnist", lambda f: write_mnist(f, lzma.compress, ".xz")),
    "cifar10 python": ("cifar10", write_cifar10),
    "cifar10 binary": ("cifar10", lambda f: write_cifar10(f, binary=True)),
    "cifar10 parquet": ("cifar10", write_parquet),
    "cifar10 pictures": ("cifar10", write_pictures),
    "cifar100 python": ("cifar100", write_cifar100),
    "cifar100 binary": ("cifar100", lambda f: write_cifar100(f, binary=True)),
    "svhn mat": ("svhn", write_svhn),
    "tiny folders": ("tiny-imagenet", write_tiny),
}


@pytest.mark.parametrize("case", WRITERS)
def test_every_published_format_is_read_to_the_byte(tmp_path, case):
    name, write = WRITERS[case]
    truth = write(tmp_path)
    data = load_data(name, folder=tmp_path)
    assert np.array_equal(data.test.x.numpy(), truth)
    rows = len(data.train) + len(data.validation)
    assert len(data.validation) == max(round(0.1 * rows), len(data.class_names))
    if "pictures" not in case:
        assert data.test.y.tolist() == [i % len(data.class_names) for i in range(len(truth))]
    ready = data.prepare(data.test.x[:2])
    assert ready.shape == data.test.x[:2].shape
    assert ready.is_floating_point()


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2 - 7],
    "empty": lambda content: b"",
    "foreign": lambda content: b"hello, world" * 50,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("case", [c for c in WRITERS if c != "tiny folders"])
def test_a_damaged_file_is_refused_by_its_name(tmp_path, case, damage):
    name, write = WRITERS[case]
    write(tmp_path)
    victim = sorted(p for p in tmp_path.rglob("*") if p.is_file() and "label" not in p.name)[0]
    victim.write_bytes(DAMAGE[damage](victim.read_bytes()))
    with pytest.raises(FileError, match=victim.name.split("-")[0].split(".")[0].split("_")[0]):
        load_data(name, folder=tmp_path)


def test_a_pickle_that_asks_for_more_than_arrays_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    write_cifar10(tmp_path)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Bomb(), b"labels": []}))
    with pytest.raises(FileError, match=r"data_batch_3 .*which is no array"):
        load_data("cifar10", folder=tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_missing_files_say_what_was_expected(tmp_path):
    with pytest.raises(FileError, match="no such folder"):
        load_data("cifar10", folder=tmp_path / "none")
    with pytest.raises(FileError, match="does not hold the train part of cifar10"):
        load_data("cifar10", folder=tmp_path)
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(FileError, match="4 of CIFAR-10's five"):
        load_data("cifar10", folder=tmp_path)


def test_pictures_of_two_sizes_are_refused_by_name(tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "train" / "class1" / "999.png").write_bytes(png(bytes_images(1, size=16)[0]))
    with pytest.raises(FileError, match=r"999\.png is 16 x 16, but the first picture is 32 x 32"):
        load_data("cifar10", folder=tmp_path)


def test_grey_pictures_among_coloured_ones_become_coloured():
    grey, coloured = bytes_images(1, 1)[0], bytes_images(1)[0]
    both = formats.decode_all([png(grey), png(coloured)], ["a", "b"])
    assert np.array_equal(both[0], np.repeat(grey, 3, 0))
    assert np.array_equal(both[1], coloured)


def test_real_cifar10_is_what_its_readme_says(shared_data):
    data = load_data("cifar10", folder=shared_data / "images" / "cifar10")
    assert [len(p) for p in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]
    pixels = np.concatenate([data.train.x.numpy(), data.validation.x.numpy()])
    mean = pixels.mean((0, 2, 3), dtype=np.float64) / 255
    assert mean == pytest.approx([0.49139969, 0.48215821, 0.44653076], abs=1e-6)
    assert np.bincount(data.test.y.numpy()).tolist() == [1000] * 10
