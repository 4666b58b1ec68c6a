"""Reading predictions: whole, in batches, or piece by piece, from any of the formats and from object stores."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import fs, parquet

from surefoot.core.checks import FROM_PYTHON, NOT_LOGITS, are_distributions, holds_fractions, part_of_a_table
from surefoot.core.columns import check_version, first_null, named_resolution, only_kind, only_label, values_of
from surefoot.core.errors import FileError, InputError
from surefoot.core.files import parse_json
from surefoot.core.formats import read_csv, read_npy, read_npz
from surefoot.core.precision import smallest
from surefoot.core.predictions import VERSION, Kind, Predictions

_ROW = re.compile(r"\brow ([0-9]{1,15})\b")


def load_predictions(
    path: Path | str, labels: Path | str | None = None, kind: Kind | None = None, by: str | None = None
) -> Predictions:
    """Read a table of predictions whole; see the module for the formats.

    Arguments:
        path: the table. For a `.npy` file of scores also `labels`, and what the scores are as `kind`.
        kind: `logits` or `probs`, where the file does not say (`.npy`, or a CSV of bare columns).
        by: a column (Parquet, CSV) or array (npz) that says what group each row belongs to.

    Raises:
        FileError: missing, damaged, or of a kind that is not read.
        InputError: its content is not predictions; the message names the file and the row.
    """
    parts = [part for piece in pieces_of(path) for part in read_piece(piece, labels, kind, by)]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise InputError(f"{path}: the table has no rows")
    split, group = (
        None if getattr(parts[0], name) is None else np.concatenate([getattr(p, name) for p in parts])
        for name in ("split", "group")
    )
    if len({p.zeros_count_as for p in parts}) > 1:
        raise InputError(
            f"{path}: its files differ in what a stored 0 counts as (zeros_count_as); read them one by one"
        )
    scores, targets = np.concatenate([p.scores for p in parts]), np.concatenate([p.labels for p in parts])
    least = None if parts[0].kind == "logits" else _least([(p.resolution or 1.0, p.scores.dtype) for p in parts])
    return replace(parts[0], scores=scores, labels=targets, split=split, group=group, resolution=least)


def resolution_of(
    pieces: "Sequence[TablePart]", labels: Path | str | None = None, kind: Kind | None = None
) -> float | None:
    """Find the resolution of a table of probabilities that is read in pieces; None where each piece knows it alone.

    Where numbers were never rounded the first batch says so; else all are looked at.
    """
    if len(pieces) == 1 and pieces[0].group is None:
        return None
    resolutions: set[tuple[float, np.dtype]] = set()
    fractions = False
    for piece in pieces:
        for batch in read_piece(piece, labels, kind):
            if batch.resolution is None:  # logits
                if not are_distributions(batch.scores):
                    return None
                fractions |= holds_fractions(batch.scores)
                continue
            resolutions.add((batch.resolution, batch.scores.dtype))
            if batch.resolution <= smallest(np.dtype(np.float64)):
                return batch.resolution
    if not resolutions and fractions:
        raise InputError(f"{pieces[0].path}: {NOT_LOGITS}")
    return _least(list(resolutions)) if resolutions else None


def _least(resolutions: list[tuple[float, np.dtype]]) -> float:
    """Return the resolution of a whole table, from those of its parts and their types."""
    least = min(resolution for resolution, _ in resolutions)
    types = {dtype for _, dtype in resolutions}
    return min(smallest(dtype) for dtype in types) if least == 1 and len(types) > 1 else least


@dataclass(frozen=True)
class TablePart:
    """A part of a table that can be read alone: a group of rows of a Parquet file, or any other file whole.

    Attributes:
        path: the file; a URI for an object store.
        rows: how many there are; None where that is known only after reading.
        first: the number of its first row in the whole table.
        group: which group of rows of the file, for Parquet.
    """

    path: str
    rows: int | None = None
    first: int = 0
    group: int | None = None


def pieces_of(path: Path | str) -> list[TablePart]:
    """List the pieces of a table: from Parquet files only their footers are read.

    Arguments:
        path: a file, a folder of Parquet files (also deeper in it), or a URI of either that Arrow can open, such as
            `s3://bucket/predictions` or `gs://bucket/predictions.parquet`.

    Raises:
        FileError: missing, damaged, or of a kind that is not read.
        InputError: the Parquet files differ in what they hold.
    """
    if "://" in str(path):
        names = _list_store(str(path))
    else:
        path = Path(path)
        if not path.exists():
            raise FileError(f"cannot read {path}: there is no such file or folder")
        if path.is_file() and path.suffix != ".parquet":
            return [TablePart(str(path))]
        names = sorted(str(f) for f in path.rglob("*.parquet")) if path.is_dir() else [str(path)]
    if not names:
        raise FileError(f"{path} is a folder without any .parquet file in it")
    parts, first, kind = [], 0, None
    for name in names:
        with _opened(name) as file:
            own_kind = only_kind(file.schema_arrow.names, name)
            if kind not in (None, own_kind):
                raise InputError(f"{name} holds {own_kind}, the files before it {kind}; a table is one of both")
            kind = own_kind
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if rows:
                    parts.append(TablePart(name, rows, first, group))
                    first += rows
    if not parts:
        raise InputError(f"{path}: the table has no rows")
    return parts


def _list_store(uri: str) -> list[str]:
    """List the Parquet files under a URI, as URIs."""
    try:
        store, inner = fs.FileSystem.from_uri(uri)
        scheme = uri[: uri.index("://") + 3]
        about = store.get_file_info(inner)
        if about.type == fs.FileType.File:
            return [uri]
        if about.type == fs.FileType.NotFound:
            raise FileError(f"cannot read {uri}: there is no such object")
        names = [f.path for f in store.get_file_info(fs.FileSelector(inner, recursive=True)) if f.is_file]
    except FileError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise FileError(f"cannot read {uri}: {error}") from error
    return sorted(f"{scheme}{name}" for name in names if name.endswith(".parquet"))


@contextmanager
def _opened(name: str) -> Iterator[parquet.ParquetFile]:
    """Open a Parquet file here or in an object store.

    Raises:
        FileError: it cannot be opened, or reading it fails.
    """
    try:
        if "://" in name:
            store, inner = fs.FileSystem.from_uri(name)
            with store.open_input_file(inner) as handle:
                yield parquet.ParquetFile(handle)
        else:
            with parquet.ParquetFile(name) as file:
                yield file
    except (InputError, FileError):
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        raise FileError(f"{name} is damaged or not a .parquet file: {error}") from error


def read_piece(
    piece: TablePart, labels: Path | str | None = None, kind: Kind | None = None, by: str | None = None,
    values: int = 1 << 22,
) -> Iterator[Predictions]:  # fmt: skip
    """Read a piece in batches of about `values` scores (Parquet; other formats come as one).

    Raises:
        FileError, InputError: as `load_predictions`.
    """
    path = Path(piece.path)
    try:
        if labels is not None and path.suffix != ".npy":
            raise InputError(
                f"labels of their own (--labels {labels}) are for a .npy file of scores; this file has its own"
            )
        if piece.group is not None:
            yield from _read_parquet(piece, by, values)
        elif path.suffix == ".npz":
            yield read_npz(path, by)
        elif path.suffix == ".csv":
            yield read_csv(path, kind, by)
        elif path.suffix == ".npy":
            if by is not None:
                raise InputError(f"a .npy file has no column {by!r}; use .parquet, .csv or .npz")
            yield read_npy(path, labels, kind)
        else:
            raise FileError(f"{path} is none of .parquet (or a folder of them), .npz, .csv, .npy")
    except InputError as error:
        reason = str(error).removesuffix(FROM_PYTHON)
        row = _ROW.search(reason) if path.suffix == ".csv" else None
        line = f" (line {int(row[1]) + 2} of the file)" if row else ""  # the first line holds the names
        raise InputError(f"{piece.path}: {reason}{line}") from error
    except FileError:
        raise
    except Exception as error:  # whatever a damaged file makes its reader raise: zip, zlib, Arrow, NumPy
        raise FileError(f"{piece.path} is damaged or not a {path.suffix} file: {error}") from error


def _read_parquet(piece: TablePart, by: str | None, values: int) -> Iterator[Predictions]:
    with _opened(piece.path) as file:
        schema = file.schema_arrow
        about = parse_json((schema.metadata or {}).get(b"surefoot", b"{}"))
        if not isinstance(about, dict):
            raise InputError(f"the metadata 'surefoot' must be an object, got {about!r:.60}")
        check_version(about.get("version", VERSION), piece.path)
        kind, label = only_kind(schema.names), only_label(schema.names)
        others = [name for name in ("split", by) if name is not None and name in schema.names]
        if by is not None and by not in schema.names:
            raise InputError(f"there is no column {by!r}; there are: {', '.join(schema.names)}")
        before = sum(file.metadata.row_group(g).num_rows for g in range(piece.group or 0))
        width = _width(file, piece.group or 0, kind)
        seen, names = 0, about.get("class_names")
        names = tuple(names) if isinstance(names, list) else names
        columns = list(dict.fromkeys([kind, label, *others]))
        for batch in file.iter_batches(max(1, values // width), row_groups=[piece.group], columns=columns):
            more = {name: values_of(batch.column(name), name) for name in others}
            try:
                with part_of_a_table():
                    rows = Predictions(
                        _from_lists(batch.column(kind), kind), kind, values_of(batch.column(label), label),
                        more.get("split"), names or None, about.get("provenance", {}),
                        more[by] if by is not None else None, *named_resolution(about, kind),
                    )  # fmt: skip
            except InputError as error:
                start = before + seen
                raise InputError(
                    f"{error} (rows counted from row {start} of the file)" if start else str(error)
                ) from error
            yield rows
            seen += batch.num_rows


def _width(file: parquet.ParquetFile, group: int, kind: str) -> int:
    """Return how many scores a row of a group holds on average, from the footer: lists of any length have no type."""
    size = getattr(file.schema_arrow.field(kind).type, "list_size", None)
    if size is None:
        about = file.metadata.row_group(group)
        columns = (about.column(i) for i in range(about.num_columns))
        values = sum(column.num_values for column in columns if column.path_in_schema.split(".")[0] == kind)
        size = -(-values // max(about.num_rows, 1))
    return max(size, 1)


def _from_lists(column: pa.Array, name: str) -> np.ndarray:
    fixed = pa.types.is_fixed_size_list(column.type)
    if not (fixed or pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise InputError(f"column {name!r} must hold a list of numbers a row, got {column.type}")
    if column.null_count:
        raise InputError(f"column {name!r} has no value in row {first_null(column)}")
    lengths = np.array([column.type.list_size]) if fixed else np.unique(column.value_lengths().to_numpy())
    if len(lengths) > 1:
        raise InputError(f"column {name!r} must hold lists of one length, got lengths {lengths[:4].tolist()}")
    flat = column.flatten()
    if flat.null_count:
        raise InputError(f"column {name!r} holds a missing value in row {first_null(flat) // int(lengths[0])}")
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)
