"""The formats that image sets are published in, as (images (n, c, h, w) in bytes, labels (n,)). Nothing is unpickled
but arrays and plain values.
"""

import gzip
import io
import lzma
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import FileError, pip_install
from surefoot.core.files import open_npz
from surefoot.data.splits import Part

_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


def part_of(images: np.ndarray, labels: np.ndarray, where: Path | str) -> Part:
    """Make a part of byte images (n, c, h, w) and labels, or say how they do not belong together."""
    if images.ndim != 4 or len(images) != len(labels) or not len(labels):
        raise FileError(f"{where}: images of shape {images.shape} and {len(labels)} labels do not make a data set")
    owned = np.require(images, np.uint8, ["C", "W"])
    return Part(torch.from_numpy(owned), torch.from_numpy(np.array(labels, dtype=np.int64)))


def find(folder: Path, *patterns: str) -> list[Path]:
    """Return the files below a folder that match the first pattern that any matches, in order of their names."""
    for pattern in patterns:
        files = sorted(folder.rglob(pattern))
        if files:
            return files
    return []


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file (MNIST, Fashion-MNIST), plain, gzipped or xz.

    Raises:
        FileError: the file is missing, damaged or truncated.
    """
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    if len(content) < 8 or content[:3] != b"\0\0\x08":
        raise FileError(f"{path} is not an idx file of bytes (it begins with {content[:4].hex()})")
    shape = np.frombuffer(content, ">u4", content[3], 4)
    start = 4 + 4 * len(shape)
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise FileError(f"{path} should hold {shape.tolist()} bytes, but {len(content) - start} are there")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def idx_part(folder: Path, prefix: str) -> Part:
    """Read `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte`."""
    files = [find(folder, f"{prefix}-{kind}*") for kind in ("images", "labels")]
    if not all(files):
        raise FileError(f"{folder}: there are no files {prefix}-images-idx3-ubyte and {prefix}-labels-idx1-ubyte")
    images, labels = (read_idx(matches[0]) for matches in files)
    return part_of(images[:, None], labels, folder)


class _ArraysOnly(pickle.Unpickler):
    """Unpickle arrays, numbers, text and containers of them; a file that asks for anything else is refused."""

    _ALLOWED = {("_codecs", "encode"), ("numpy", "ndarray"), ("numpy", "dtype")} | {
        (f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module, name)


def cifar_part(files: Sequence[Path], label_key: str = "labels") -> Part:
    """Read CIFAR's batches: the Python version (pickles of arrays) or the binary one (`.bin`)."""
    images, labels = [], []
    for path in files:
        batch, target = _cifar_binary(path, label_key) if path.suffix == ".bin" else _cifar_pickle(path, label_key)
        images.append(batch.reshape(-1, 3, 32, 32))
        labels.append(target)
    return part_of(np.concatenate(images), np.concatenate(labels), files[0].parent)


def _cifar_pickle(path: Path, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
        content = {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}
        return np.asarray(content["data"], dtype=np.uint8), np.asarray(content[label_key])
    except Exception as error:  # whatever a damaged file makes the unpickler raise
        raise FileError(f"{path} is not a CIFAR batch with 'data' and {label_key!r}, or damaged: {error}") from error


def _cifar_binary(path: Path, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    heads = 1 if label_key == "labels" else 2  # CIFAR-100 gives the coarse label first
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if not len(content) or len(content) % (3072 + heads):
        raise FileError(f"{path}: {len(content)} bytes are not rows of {3072 + heads}; the file is truncated")
    rows = content.reshape(-1, 3072 + heads)
    return rows[:, heads:], rows[:, heads - 1]


def sheets_part(folder: Path, name: str) -> Part:
    """Read lossless sheets `<name>_NN.webp` of 50 x 40 CIFAR images, and `labels.npz`."""
    files = find(folder, f"{name}_*.webp")
    sheets = [decode(path.read_bytes(), path) for path in files]
    images = [x.reshape(3, 50, 32, 40, 32).transpose(1, 3, 0, 2, 4).reshape(-1, 3, 32, 32) for x in sheets]
    try:
        with open_npz(folder / "labels.npz") as file:
            labels = file[name]
    except Exception as error:  # whatever a damaged file makes NumPy's reader raise
        raise FileError(f"cannot read {folder / 'labels.npz'}: {error}") from error
    return part_of(np.concatenate(images), labels, folder)


def mat_part(path: Path) -> Part:
    """Read SVHN's cropped digits, `train_32x32.mat`; its class 10 is the digit 0."""
    from scipy.io import loadmat  # noqa: PLC0415  (slow to import, and one set's alone)

    try:
        content = loadmat(path)
        images, labels = content["X"], content["y"].ravel() % 10
    except Exception as error:  # whatever a damaged file makes SciPy's reader raise
        raise FileError(f"{path} is not SVHN's format with 'X' and 'y', or damaged: {error}") from error
    return part_of(images.transpose(3, 2, 0, 1), labels, path)


def decode(content: bytes, where: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a picture to bytes (c, h, w): one channel if it is grey, else three.

    Raises:
        FileError: it is no picture, or not of the size of the others.
    """
    try:
        from PIL import Image  # noqa: PLC0415  (an extra, that only sets of pictures need)
    except ModuleNotFoundError as error:
        raise FileError(f"{where} needs Pillow to be read: {pip_install('data')}") from error
    try:
        with Image.open(io.BytesIO(content)) as picture:
            pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    except Exception as error:  # whatever a damaged file makes Pillow raise
        raise FileError(f"{where} is not a picture, or damaged: {error}") from error
    if size is not None and pixels.shape[:2] != size:
        raise FileError(
            f"{where} is {pixels.shape[0]} x {pixels.shape[1]}, but the first picture is {size[0]} x {size[1]}"
        )
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode_all(contents: Sequence[bytes], names: Sequence[Any]) -> np.ndarray:
    """Decode pictures of one size; all become coloured if one is."""
    first = decode(contents[0], names[0])
    images = [decode(c, name, first.shape[1:]) for c, name in zip(contents, names, strict=True)]  # type: ignore[arg-type]
    channels = max(len(x) for x in images)
    return np.stack([np.repeat(x, channels, 0) if len(x) < channels else x for x in images])


def pictures_part(folder: Path, class_names: Sequence[str]) -> Part:
    """Read a folder of folders of pictures, one a class; `images/` within a class is looked into, too."""
    files = [(p, i) for i, name in enumerate(class_names) for p in _pictures(folder / name)]
    if not files:
        raise FileError(f"{folder}: there are no pictures ({', '.join(sorted(_PICTURES))}) in folders named by class")
    images = decode_all([p.read_bytes() for p, _ in files], [p for p, _ in files])
    return part_of(images, np.array([i for _, i in files]), folder)


def classes_of(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders that hold pictures."""
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and _pictures(p)))


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PICTURES)


def parquet_part(files: Sequence[Path], image: str, label: str) -> Part:
    """Read Parquet as the Hugging Face hub stores images: a column of structs with `bytes`, and labels."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    contents, names, labels = [], [], []
    for path in files:
        try:
            table = pq.read_table(path, columns=[image, label])
            cells = table[image].to_pylist()
            contents += [cell["bytes"] for cell in cells]
            labels.append(table[label].to_numpy())
        except Exception as error:  # whatever a damaged file makes Arrow raise
            raise FileError(
                f"{path} is not Parquet with columns {image!r} and {label!r}, or damaged: {error}"
            ) from error
        names += [f"{path} row {i}" for i in range(len(cells))]
    return part_of(decode_all(contents, names), np.concatenate(labels), files[0])
