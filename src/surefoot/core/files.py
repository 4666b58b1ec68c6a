"""Files are written whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.lib.npyio import NpzFile

from surefoot.core.errors import FileError, InputError


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place only when the block ends without an error.

    Where `path` is a link the file that it leads to is replaced; to a device or a pipe the bytes are written at the
    end.

    Raises:
        FileError: the folder does not exist and cannot be made, `path` is a folder, or the disk is full.
    """
    target = Path(path)
    if target.is_dir():
        raise FileError(f"cannot write {target}: it is a folder; name a file in it")
    special = target.exists() and not target.is_file()
    if target.is_symlink() and not special:
        target = Path(os.path.realpath(target))
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.gettempdir() if special else target.parent
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{target.stem}.", suffix=target.suffix)
        os.close(handle)
    temporary = Path(name)
    try:
        with writing(target):
            yield temporary
            if special:
                with temporary.open("rb") as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_files(*paths: Path | str | None) -> Iterator[list[Path | None]]:
    """Give temporary paths as `whole_file` does; rename all of them, only when the block ends without an error.

    Raises:
        FileError: as `whole_file`, before the block is entered.
    """
    with ExitStack() as stack:
        yield [None if path is None else stack.enter_context(whole_file(path)) for path in paths]


def check_writable(path: Path, is_folder: bool = False) -> None:
    """Refuse a file, or a folder, that could not be written, before anything is done for it.

    Raises:
        FileError: it is a folder (or, where a folder is asked for, a file), or its place lets nothing be written.
    """
    if path.is_dir() and not is_folder:
        raise FileError(f"cannot write {path}: it is a folder; name a file in it")
    if path.exists() and is_folder and not path.is_dir():
        raise FileError(f"cannot write into {path}: it is a file; name a folder")
    place = path if is_folder or (path.exists() and not path.is_file()) else Path(os.path.realpath(path)).parent
    while not os.path.lexists(place):
        place = place.parent
    if is_folder or not (path.exists() and not path.is_file()):
        if not place.is_dir():
            raise FileError(f"cannot write {path}: {place} is a file, not a folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise FileError(f"cannot write {path}: {place} lets nothing be written")


def keep_inputs(written: Mapping[str, Path | None], read: Iterable[Path | str | None]) -> None:
    """Refuse outputs, by the option that names each, that are a file that is read, or one another.

    Raises:
        InputError: which.
    """
    before = [Path(path) for path in read if path is not None]
    for option, path in written.items():
        if path is None or (path.exists() and not path.is_file()):  # what is no file cannot be replaced
            continue
        if any(_same_file(path, other) for other in before):
            raise InputError(f"{option} {path}: the command reads or writes this file already; name another")
        before.append(path)


def _same_file(one: Path, two: Path) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(two) or one.samefile(two)
    except (OSError, ValueError):  # one is not there, or no path at all
        return False


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the system says while a file is written into one line that names the file.

    Raises:
        FileError: the system refused: no room, no right, no such folder.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {target}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON file whole or not at all; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def parse_json(text: str | bytes) -> Any:
    """Read JSON in which no object has a key twice: which of the two is meant nobody knows.

    Raises:
        ValueError: it is not JSON, or has a key twice.

    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' stands twice in an object
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice!r} stands twice in an object")
    return content


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        FileError: the file is missing or is not JSON.
    """
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also numbers of too many digits, and lists in lists in lists
        raise FileError(f"{path} is not a JSON file: {error}") from error


@contextmanager
def open_npz(source: Path | str | BytesIO) -> Iterator[NpzFile]:
    """Open an .npz file, closed also where reading fails. Nothing is unpickled, nor is it advised, as NumPy does.

    Raises:
        ValueError, and whatever else a damaged file makes NumPy's reader raise.
    """
    with source if isinstance(source, BytesIO) else Path(source).open("rb") as file:
        if file.read(2) != b"PK":
            raise ValueError("it is no zip archive, as .npz files are")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            yield archive


def map_array(path: Path | str) -> np.ndarray:
    """Map the array of an .npy file: only what is used of it is read. Nothing is unpickled.

    Raises:
        OSError, ValueError: the file is missing, damaged, or no such array.
    """
    return open_memmap(path, mode="r")


def read_arrays(path: Path | str, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays of an `.npz` file by name, as they are.

    Raises:
        FileError: the file is missing, damaged, or lacks an array that is needed.
    """
    try:
        with open_npz(path) as file:
            return {name: file[name] for name in (*needed, *(name for name in optional if name in file.files))}
    except OSError as error:
        raise FileError(f"cannot read {path}: {error}") from error
    except Exception as error:  # whatever a damaged file makes NumPy's reader raise
        names = " and ".join(map(repr, needed))
        raise FileError(
            f"{path} must be an .npz file with {'arrays' if needed[1:] else 'an array'} {names}: {error}"
        ) from error
