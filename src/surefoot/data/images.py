"""Published image sets by name: from a local folder in the formats they are published in, or from the hub."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import map_array
from surefoot.data import formats, hub
from surefoot.data.prepare import Prepare
from surefoot.data.splits import Data, Part, divide, divide_published

# A reader looks for its format in a folder: the part, or None where there is nothing of the kind.
Reader = Callable[[Path, str], Part | None]


def _sheets(folder: Path, split: str) -> Part | None:
    return formats.sheets_part(folder, split) if formats.find(folder, f"{split}_*.webp") else None


def _cifar10(folder: Path, split: str) -> Part | None:
    stem = "data_batch_[1-5]" if split == "train" else "test_batch"
    files = formats.find(folder, stem, f"{stem}.bin")
    if files and split == "train" and len(files) != 5:
        raise FileError(f"{folder} holds {len(files)} of CIFAR-10's five training batches: {[f.name for f in files]}")
    return formats.cifar_part(files) if files else None


def _cifar100(folder: Path, split: str) -> Part | None:
    files = [f for f in formats.find(folder, split, f"{split}.bin") if f.is_file()]
    return formats.cifar_part(files[:1], "fine_labels") if files else None


def _idx(folder: Path, split: str) -> Part | None:
    prefix = "train" if split == "train" else "t10k"
    return formats.idx_part(folder, prefix) if formats.find(folder, f"{prefix}-*-ubyte*") else None


def _mat(folder: Path, split: str) -> Part | None:
    files = formats.find(folder, f"{split}_32x32.mat")
    return formats.mat_part(files[0]) if files else None


def _tiny(folder: Path, split: str) -> Part | None:
    """Read Tiny-ImageNet as it is published: its `val` is the test part, since the official test has no labels."""
    notes, train = folder / "val" / "val_annotations.txt", folder / "train"
    if not notes.is_file() or not train.is_dir():
        return None
    classes = formats.classes_of(train)
    if split == "train":
        return formats.pictures_part(train, classes)
    lines = [line.split("\t")[:2] for line in notes.read_text().splitlines() if line.strip()]
    try:
        files = [notes.parent / "images" / name for name, _ in lines]
        images = formats.decode_all([f.read_bytes() for f in files], files)
        return formats.part_of(images, np.array([classes.index(wnid) for _, wnid in lines]), notes)
    except (OSError, ValueError) as error:
        raise FileError(f"{notes}: {error}") from error


def _pictures(folder: Path, split: str) -> Part | None:
    below = folder / split
    if not below.is_dir():
        return None
    classes = formats.classes_of(folder / "train")
    if strange := sorted(set(formats.classes_of(below)) - set(classes)):
        raise FileError(f"{below} has classes that {folder / 'train'} lacks: {', '.join(strange[:5])}")
    return formats.pictures_part(below, classes)


@dataclass(frozen=True)
class ImageSet:
    """What must be known of a published set to read it.

    Attributes:
        hub: its name on the hub, the columns of images and labels, and what its test part is called there.
        readers: its formats, in the order in which they are looked for; Parquet and folders of pictures always are.
        classes: names, or how many there are.
    """

    name: str
    hub: hub.Source
    readers: tuple[Reader, ...]
    classes: tuple[str, ...] | int
    prepare: Prepare

    def __call__(self, seed: int = 0, folder: Path | str | None = None) -> Data:
        """Return the set, from a folder or else from the hub, with a tenth of its training part for validation.

        Raises:
            FileError: a file is missing or damaged; the message names it and what was expected.
        """
        if folder is None:
            train, test = (hub.images(self.hub, split) for split in ("train", "test"))
        else:
            train, test = (self._read(Path(folder), split) for split in ("train", "test"))
        k = self.classes if isinstance(self.classes, int) else len(self.classes)
        for part in (train, test):
            if int(part.y.max()) >= k:
                raise FileError(
                    f"{folder or self.hub.name}: label {int(part.y.max())}, but {self.name} has {k} classes"
                )
        names = tuple(map(str, range(k))) if isinstance(self.classes, int) else self.classes
        return replace(divide_published(self.name, train, test, names, seed), prepare=self.prepare)

    def _read(self, folder: Path, split: str) -> Part:
        if not folder.is_dir():
            raise FileError(f"cannot read {self.name} from {folder}: there is no such folder")
        for reader in (*self.readers, self._parquet, _pictures):
            part = reader(folder, split)
            if part is not None:
                return part
        raise FileError(
            f"{folder} does not hold the {split} part of {self.name} in any format that is known: the files it is "
            f"published as, {split}-*.parquet as on the hub, or {split}/CLASS/*.png"
        )

    def _parquet(self, folder: Path, split: str) -> Part | None:
        files = formats.find(folder, f"{self.hub.test if split == 'test' else split}-*.parquet")
        return formats.parquet_part(files, self.hub.inputs, self.hub.labels) if files else None


_CIFAR = Prepare((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), pad=4, flip=True)
_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_DIGITS = tuple(map(str, range(10)))
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

IMAGE_SETS: Sequence[ImageSet] = (
    ImageSet("cifar10", hub.Source("uoft-cs/cifar10", "img", "label"), (_sheets, _cifar10), _CIFAR10_CLASSES, _CIFAR),
    ImageSet(
        "cifar100",
        hub.Source("uoft-cs/cifar100", "img", "fine_label"),
        (_cifar100,),
        100,
        Prepare((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), pad=4, flip=True),
    ),
    ImageSet(
        "svhn",
        hub.Source("ufldl-stanford/svhn", "image", "label", config="cropped_digits"),
        (_mat,),
        _DIGITS,
        Prepare((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    ),
    ImageSet(
        "tiny-imagenet",
        hub.Source("zh-plus/tiny-imagenet", "image", "label", test="valid"),
        (_tiny,),
        200,
        Prepare((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821), pad=4, flip=True),
    ),
    ImageSet("mnist", hub.Source("ylecun/mnist", "image", "label"), (_idx,), _DIGITS, Prepare((0.1307,), (0.3081,))),
    ImageSet(
        "fashion-mnist",
        hub.Source("zalando-datasets/fashion_mnist", "image", "label"),
        (_idx,),
        _CLOTHES,
        Prepare((0.2860,), (0.3530,), flip=True),
    ),
)


def picture_folder(folder: Path | str, seed: int = 0) -> Data:
    """Return a user's own pictures: `CLASS/*.png` in a folder, or in its `train` and `test`.

    All of one size; the mean and spread of each channel of the training part are the normalisation.

    Raises:
        FileError: no pictures, damaged ones, or of several sizes.
        InputError: fewer than two classes.
    """
    folder = Path(folder)
    published = (folder / "train").is_dir() and (folder / "test").is_dir()
    classes = formats.classes_of(folder / "train" if published else folder)
    if len(classes) < 2:
        raise InputError(f"{folder} has {len(classes)} folder(s) of pictures; one a class, and at least two are needed")
    if published:
        train, test = (formats.pictures_part(folder / split, classes) for split in ("train", "test"))
        data = divide_published(folder.name, train, test, classes, seed)
    else:
        every = formats.pictures_part(folder, classes)
        data = divide(folder.name, every.x, every.y, classes, seed)
    pixels = data.train.x.double() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp(min=1e-3)
    return replace(data, prepare=Prepare(tuple(mean.tolist()), tuple(std.tolist())))


# Hendrycks and Dietterich 2019, CIFAR-10-C: the standard deviation of the Gaussian noise at severities 1 to 5.
_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)


def gaussian_noise(images: np.ndarray, severity: int, seed: int = 0) -> np.ndarray:
    """Add the Gaussian noise of CIFAR-10-C to byte images: clip(x + N(0, s)) with s from .04 to .10 by severity 1 to 5.

    Reference: Hendrycks and Dietterich 2019, *Benchmarking Neural Network Robustness*, appendix.

    Raises:
        InputError: a severity that is not 1 to 5.
    """
    if severity not in range(1, 6):
        raise InputError(f"a severity is 1 to 5, got {severity!r}")
    noise = np.random.default_rng(seed).normal(scale=_NOISE[severity - 1], size=images.shape)
    return (np.clip(images / 255 + noise, 0, 1) * 255).astype(np.uint8)


def ood_parts(known: Data, folder: Path | str | None = None) -> dict[str, Part]:
    """Return inputs that a network trained on `known` has not seen the like of.

    From a folder: SVHN's test part (`test_32x32.mat`), or CIFAR-10-C's Gaussian noise at its five severities. Without
    one: that noise, made by its published formula on the test part of `known`.

    Raises:
        FileError: the folder holds neither.
        InputError: noise for inputs that are no images.
    """
    if folder is not None:
        below = Path(folder)
        if (below / "gaussian_noise.npy").is_file():
            return {f"gaussian noise {s}": corrupted(below, "gaussian_noise", s) for s in range(1, 6)}
        part = _mat(below, "test")
        if part is None:
            raise FileError(f"{folder} holds neither SVHN's test_32x32.mat nor CIFAR-10-C's gaussian_noise.npy")
        return {"svhn": part}
    if known.test.x.dtype != torch.uint8:
        raise InputError(f"noise is made for images in bytes; {known.name} has inputs of {known.test.x.dtype}")
    images, labels = known.test.x.numpy(), known.test.y
    return {f"noise {s}": Part(torch.from_numpy(gaussian_noise(images, s)), labels) for s in range(1, 6)}


strange_parts = ood_parts  # its name of before, until version 0.3


def corrupted(folder: Path | str, kind: str, severity: int) -> Part:
    """Read CIFAR-10-C as published: `<kind>.npy`, 10,000 images a severity, and `labels.npy`.

    Raises:
        FileError: a file is missing, damaged, or not of that shape.
    """
    if severity not in range(1, 6):
        raise InputError(f"a severity is 1 to 5, got {severity!r}")
    folder = Path(folder)
    rows = slice(10_000 * (severity - 1), 10_000 * severity)
    try:
        images, labels = (map_array(folder / f"{name}.npy") for name in (kind, "labels"))
        return formats.part_of(np.array(images[rows]).transpose(0, 3, 1, 2), np.array(labels[rows]), folder)
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"{folder} does not hold CIFAR-10-C's {kind}.npy and labels.npy: {error}") from error
