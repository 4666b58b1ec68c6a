"""Data sets from the Hugging Face hub, by its `datasets` library: downloaded once, then kept by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surefoot.core.errors import FileError, MissingExtra, pip_install
from surefoot.data import formats
from surefoot.data.splits import Part


@dataclass(frozen=True)
class Source:
    """Where a set is on the hub: its name, its columns, and what its test part is called."""

    name: str
    inputs: str
    labels: str
    config: str | None = None
    test: str = "test"


def table(source: Source, split: str) -> Any:
    """Return a part of a set on the hub as a `datasets.Dataset`.

    Raises:
        MissingExtra: `datasets` is not installed.
        FileError: the hub cannot be reached, or has no such set.
    """
    try:
        import datasets  # noqa: PLC0415  (an extra, and slow to import)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"data from the hub needs datasets: {pip_install('data')}") from error
    wanted = source.test if split == "test" else split
    try:
        return datasets.load_dataset(source.name, source.config, split=wanted)
    except Exception as error:  # whatever networks, servers and files make the library raise
        raise FileError(
            f"cannot get {wanted} of {source.name} from the hub ({type(error).__name__}: {error}); "
            f"with the files at hand, name their folder: --folder"
        ) from error


def images(source: Source, split: str) -> Part:
    """Return a part of a set of images."""
    rows = table(source, split)
    rows = rows.cast_column(source.inputs, type(rows.features[source.inputs])(decode=False))
    contents = [_bytes_of(cell) for cell in rows[source.inputs]]
    names = [f"{source.name} {split} row {i}" for i in range(len(contents))]
    return formats.part_of(formats.decode_all(contents, names), np.asarray(rows[source.labels]), source.name)


def _bytes_of(cell: dict[str, Any]) -> bytes:
    if cell["bytes"] is not None:
        return cell["bytes"]
    with open(cell["path"], "rb") as file:
        return file.read()


def texts(source: Source, split: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return a part of a set of texts, and the names of their classes."""
    rows = table(source, split)
    return rows[source.inputs], rows[source.labels]
