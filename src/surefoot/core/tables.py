"""Reading predictions: whole, in batches, or piece by piece, from any of the formats and from object stores."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.lib.format import read_array
from pyarrow import csv, fs, parquet

from surefoot.core.checks import FROM_PYTHON, NOT_LOGITS, are_distributions, holds_fractions, part_of_a_table
from surefoot.core.errors import FileError, InputError, Taken
from surefoot.core.files import open_npz, parse_json
from surefoot.core.precision import smallest
from surefoot.core.predictions import VERSION, Kind, Predictions
from surefoot.core.shapes import refuse_one_hot, rows_of_pixels, rows_of_sigmoids

_LABEL_NAMES = ("label", "labels", "target")
_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>[0-9]{1,9})", re.DOTALL)
# The same where the number is not the last: `prob_2.0`, of classes that were floats, `prob[2]`, `prob(2)`.
_NUMBERED_OTHERWISE = re.compile(r"(?P<stem>.*?)[\[(]?(?P<number>[0-9]{1,9})(?:\.0+)?[\])]?", re.DOTALL)
_ROW = re.compile(r"\brow ([0-9]{1,15})\b")
_FIXED = re.compile(r"\s*[+-]?[0-9]*\.(?P<decimals>[0-9]+)\s*")
_OF_A_CLASS = re.compile(r"(?:logits?|probs?)[_ -]?")  # stems of columns that name their class by its number
_WITHOUT_LETTERS = re.compile(r"(?:logits?|probs?)[\W\d_]*")  # and such columns whole, however they write it


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


def iter_predictions(
    path: Path | str, labels: Path | str | None = None, kind: Kind | None = None, values: int = 1 << 22
) -> Iterator[Predictions]:
    """Read a table in batches of about `values` scores (Parquet; other formats come as one), with constant memory."""
    for piece in pieces_of(path):
        yield from read_piece(piece, labels, kind, values=values)


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
            own_kind = _only_kind(file.schema_arrow.names, name)
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
            yield _read_npz(path, by)
        elif path.suffix == ".csv":
            yield _read_csv(path, kind, by)
        elif path.suffix == ".npy":
            if by is not None:
                raise InputError(f"a .npy file has no column {by!r}; use .parquet, .csv or .npz")
            yield _read_npy(path, labels, kind)
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
        _check_version(about.get("version", VERSION), piece.path)
        kind, label = _only_kind(schema.names), _only_label(schema.names)
        others = [name for name in ("split", by) if name is not None and name in schema.names]
        if by is not None and by not in schema.names:
            raise InputError(f"there is no column {by!r}; there are: {', '.join(schema.names)}")
        before = sum(file.metadata.row_group(g).num_rows for g in range(piece.group or 0))
        width = _width(file, piece.group or 0, kind)
        seen, names = 0, about.get("class_names")
        names = tuple(names) if isinstance(names, list) else names
        columns = list(dict.fromkeys([kind, label, *others]))
        for batch in file.iter_batches(max(1, values // width), row_groups=[piece.group], columns=columns):
            more = {name: _from_column(batch.column(name), name) for name in others}
            try:
                with part_of_a_table():
                    rows = Predictions(
                        _from_lists(batch.column(kind), kind), kind, _from_column(batch.column(label), label),
                        more.get("split"), names or None, about.get("provenance", {}),
                        more[by] if by is not None else None, *_resolution(about, kind),
                    )  # fmt: skip
            except InputError as error:
                start = before + seen
                raise InputError(
                    f"{error} (rows counted from row {start} of the file)" if start else str(error)
                ) from error
            yield rows
            seen += batch.num_rows


def _resolution(about: dict, kind: Kind) -> tuple[float | None, float | None]:
    """Return the resolution that a file names, and what it says that zeros count as; None where it says nothing."""
    values: list[float | None] = []
    for name in ("resolution", "zeros_count_as"):
        value = None if kind == "logits" else about.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1):
            raise InputError(f"{name} must be a number above 0, at most 1; got {value!r:.60}")
        values.append(None if value is None else float(value))
    return values[0], values[1]


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
        raise InputError(f"column {name!r} has no value in row {_first_null(column)}")
    lengths = np.array([column.type.list_size]) if fixed else np.unique(column.value_lengths().to_numpy())
    if len(lengths) > 1:
        raise InputError(f"column {name!r} must hold lists of one length, got lengths {lengths[:4].tolist()}")
    flat = column.flatten()
    if flat.null_count:
        raise InputError(f"column {name!r} holds a missing value in row {_first_null(flat) // int(lengths[0])}")
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _first_null(column: pa.Array) -> int:
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))


def _from_column(column: pa.Array, name: str) -> np.ndarray:
    if column.null_count:
        raise InputError(f"column {name!r} has no value in row {_first_null(column)}")
    return column.to_numpy(zero_copy_only=False)


def _only_kind(names: list[str], path: str = "") -> Kind:
    kinds = [name for name in ("logits", "probs") if name in names]
    if len(kinds) != 1:
        where = f"{path}: " if path else ""
        raise InputError(f"{where}exactly one of 'logits' and 'probs' is needed, got {', '.join(names) or 'nothing'}")
    return kinds[0]  # type: ignore[return-value]


def _check_version(version: object, path: object) -> None:
    if version != VERSION:
        raise FileError(f"{path} is of version {version}; this surefoot reads version {VERSION}")


def _only_label(names: list[str]) -> str:
    labels = [name for name in _LABEL_NAMES if name in names]
    if len(labels) != 1:
        raise InputError(f"exactly one of {', '.join(map(repr, _LABEL_NAMES))} is needed, got {', '.join(names)}")
    return labels[0]


_ASPECTS = ("image", "label")  # what pixels and sigmoids can be told apart by, without an array for it


def _read_npz(path: Path, by: str | None) -> Predictions:
    with open_npz(path) as file:
        names = list(file.files)
        if "surefoot_version" in names:
            _check_version(file["surefoot_version"].tolist(), path)
        if by is not None and by not in names and by not in _ASPECTS:
            raise InputError(f"there is no array {by!r}; there are: {', '.join(names)}")
        group = file[by] if by in names else None
        blocks = [s for s in ("val", "validation", "test") if f"labels_{s}" in names]
        if blocks:  # one array a part, as some publish them
            kind: Kind = "logits" if f"logits_{blocks[0]}" in names else "probs"
            for part in blocks:
                if f"{kind}_{part}" not in names:
                    raise InputError(f"there is no array '{kind}_{part}'; there are: {', '.join(names)}")
            labels = [file[f"labels_{s}"] for s in blocks]
            split = np.concatenate([np.full(len(y), s) for s, y in zip(blocks, labels, strict=True)])
            return Predictions(
                np.concatenate([file[f"{kind}_{s}"] for s in blocks]), kind, np.concatenate(labels), split, group=group
            )
        kind = _only_kind(names)
        class_names = tuple(np.atleast_1d(file["class_names"]).tolist()) if "class_names" in names else None
        about = file["provenance"].tolist() if "provenance" in names else "{}"
        if not isinstance(about, str):
            raise InputError(f"array 'provenance' must be one text, got {about!r:.60}")
        provenance = parse_json(about)
        split = file["split"] if "split" in names else None
        scores, labels = file[kind], file[_only_label(names)]
        if scores.ndim > 2:  # pixels
            scores, labels, image = rows_of_pixels(scores, labels)
            split = None if split is None else split[image]
            group = image if by == "image" else group
        elif scores.shape == labels.shape:  # sigmoids
            if not ("sigmoids" in names and bool(np.all(file["sigmoids"]))):
                refuse_one_hot(labels)
            if labels.ndim == 2:
                many = " x ".join([f"{len(labels):,} rows", f"{labels.shape[1]} labels"])
                known = int((labels >= 0).sum())
                warnings.warn(
                    f"{path}: {many} are read as {known:,} rows of two classes, no and yes", Taken, stacklevel=2
                )
            whose = np.repeat(np.arange(len(scores)), scores[0].size)[labels.reshape(-1) >= 0]
            scores, labels, which = rows_of_sigmoids(scores, labels, kind == "probs")
            split = None if split is None else split[whose]
            if by == "label":
                group = np.array(class_names)[which] if class_names else which
            class_names = ("no", "yes")
        elif by in _ASPECTS and by not in names:
            raise InputError(f"there is no array {by!r}; there are: {', '.join(names)}")
        named = {name: file[name].tolist() for name in ("resolution", "zeros_count_as") if name in names}
        return Predictions(scores, kind, labels, split, class_names, provenance, group, *_resolution(named, kind))


def _read_csv(path: Path, kind: Kind | None, by: str | None) -> Predictions:
    table = csv.read_csv(path)
    written = table.column_names
    table = table.rename_columns([name.strip() for name in written])
    by = None if by is None else by.strip()
    for mark in (";", "\t"):
        if len(table.column_names) == 1 and mark in table.column_names[0]:
            raise InputError(f"its columns are divided by {mark!r}: commas are needed")
    if not table.num_rows:
        raise InputError("it has no rows")
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise InputError(f"the column {twice[0]!r} is there twice: each name may stand once in the first line")
    if by is not None and by not in table.column_names:
        raise InputError(f"there is no column {by!r}; there are: {', '.join(table.column_names)}")
    label = _only_label(table.column_names)
    others = [name for name in table.column_names if name not in (label, "split", by)]
    named = {k: [name for name in others if name.lower().startswith(k[:-1])] for k in ("logits", "probs")}
    if kind is None:
        if not any(named.values()):
            raise InputError(
                f"columns prob_0, prob_1, ... or logit_0, logit_1, ... are needed (or --scores, if all but label and "
                f"split are scores); there are: {', '.join(table.column_names)}"
            )
        kind = _only_kind([k for k, columns in named.items() if columns])
        others = named[kind]
    columns = [_from_column(table.column(name).combine_chunks(), name) for name in _in_class_order(others)]
    if not columns:
        raise InputError("the table has no columns of scores")
    split = _from_column(table.column("split").combine_chunks(), "split") if "split" in table.column_names else None
    group = _from_column(table.column(by).combine_chunks(), by) if by is not None else None
    target = _from_column(table.column(label).combine_chunks(), label)
    scores = np.stack(columns, 1)
    resolution = None
    if kind == "probs" and not np.all(scores):
        resolution = _decimals(path, [name for name in written if name.strip() in others])
    return Predictions(scores, kind, target, split, group=group, resolution=resolution)


def _decimals(path: Path, columns: list[str]) -> float | None:
    """Return the unit of the last decimal where all numbers of a CSV are written with as many; None where they are not.

    The numbers alone may tell less: of shares of 50 trees all are multiples of 0.02, also written as 0.020000.
    """
    text = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
    digits: set[int] = set()
    for batch in csv.read_csv(path, convert_options=text).to_batches():
        for column in batch.columns:
            matches = [_FIXED.fullmatch(word) for word in column.to_pylist()]
            digits |= {0 if one is None else len(one["decimals"]) for one in matches}
        if len(digits) > 1:
            return None
    decimals = digits.pop()
    if decimals < 2:  # 0 and 0.0 may never have been rounded
        return None
    return max(10.0**-decimals, smallest(np.dtype(np.float64)))


def _in_class_order(columns: list[str]) -> list[str]:
    """Return columns in the order of the classes: by the number in each name, whatever their place.

    Columns that are called after the classes alone (`prob_cat`) stay in their order.

    Raises:
        InputError: the numbers are not 0 to k - 1, each once, only some of the columns have one, or it cannot be read.

    >>> _in_class_order(["prob_0", "prob_2", "prob_1"]), _in_class_order(["prob_dog", "prob_cat"])
    (['prob_0', 'prob_1', 'prob_2'], ['prob_dog', 'prob_cat'])
    """
    for form in (_NUMBERED, _NUMBERED_OTHERWISE):
        parts = [part for part in map(form.fullmatch, columns) if part is not None]
        stems = {part["stem"].lower() for part in parts}
        alike = len(parts) == len(columns) and len(stems) == 1
        if alike:
            break
    numbered = [name for name in columns if _is_numbered(name)]
    if not alike and not numbered:
        return columns  # names of classes, some of which may end with a number
    by_number = {int(part["number"]): part.string for part in parts}
    if not alike or sorted(by_number) != list(range(len(columns))):
        first = _OF_A_CLASS.match(numbered[0].lower()) if numbered else None
        stem = numbered[0][: first.end()] if first else parts[0]["stem"]
        raise InputError(
            f"{len(columns)} columns of scores are needed as {stem}0 to {stem}{len(columns) - 1}, in any order, got "
            f"{', '.join(columns)}"
        )
    return [by_number[number] for number in range(len(columns))]


def _is_numbered(name: str) -> bool:
    """Whether a column is called after a number, in whatever form, and not after a class."""
    return _WITHOUT_LETTERS.fullmatch(name.lower()) is not None and any(map(str.isdigit, name))


def _read_npy(path: Path, labels: Path | str | None, kind: Kind | None) -> Predictions:
    if labels is None:
        raise InputError("a .npy file of scores needs the labels beside it: give them with --labels labels.npy")
    if kind is None:
        raise InputError("a .npy file does not say what it holds: give --scores logits or --scores probs")
    if not Path(labels).exists():
        raise FileError(f"cannot read {labels}: there is no such file")
    return Predictions(_array(path), kind, _array(Path(labels)))


def _array(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return read_array(file, allow_pickle=False)  # of a file that is none, `np.load` says how to unpickle it
