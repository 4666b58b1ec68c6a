"""Every data set by name: feeds the command line. A path is a user's own file or folder."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from surefoot.core.catalog import look_up
from surefoot.core.errors import InputError
from surefoot.data.arrays import arrays
from surefoot.data.digits import digits
from surefoot.data.images import IMAGE_SETS, picture_folder
from surefoot.data.splits import Data
from surefoot.data.texts import newsgroups, text_table
from surefoot.data.trees import sentiment

DATA: dict[str, Callable[..., Data]] = {
    "digits": digits,
    **{spec.name: spec for spec in IMAGE_SETS},
    "20news": newsgroups,
    "20news-200": partial(newsgroups, length=200),  # the first 200 words: for machines without a GPU
    "sst": sentiment,
}
# What a path may lead to, by its suffix; a folder has none.
_OWN: dict[str, Callable[..., Data]] = {".npz": arrays, ".csv": text_table, "": picture_folder}


def content_of(name: str) -> str | None:
    """Return a digest of a user's own file, or of all files of a folder; None for data that are known by their name."""
    if not _is_path(name):
        return None
    path, digest = Path(name), hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
        with file.open("rb") as opened:
            digest.update(f"{file.relative_to(path)} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _is_path(name: str) -> bool:
    return name not in DATA and (Path(name).suffix in (".npz", ".csv") or Path(name).is_dir())


def load_data(name: str, seed: int = 0, folder: Path | str | None = None, train_rows: int | None = None) -> Data:
    """Return the data set of that name (or file), divided by a seed.

    Arguments:
        folder: where a published set's files are; without it they come from the Hugging Face hub.
        train_rows: train on so many of the rows only, every class in the same proportions.

    Raises:
        InputError: there is no such data set; the message lists those there are.
        FileError: its files are missing or damaged.
    """
    is_path = _is_path(name)
    if folder is not None and (is_path or name == "digits"):
        raise InputError(f"a folder is for the files of a published set, not for {name!r}")
    if is_path:
        data = _OWN["" if Path(name).is_dir() else Path(name).suffix](name, seed)
    else:
        besides = ", or a file x.npz with x and y, texts.csv with text and label, or a folder of folders of pictures"
        load = look_up(DATA, "data set", name, besides)
        data = load(seed) if folder is None else load(seed, folder)
    return data if train_rows is None else data.with_train_rows(train_rows, seed)
