"""The Predictions file: what a model said about rows whose label is known. The door to everything after training.

On disk it is Parquet (columns `logits` or `probs`, fixed-size lists; `label`; optionally `split`), a folder of such
files, `.npz` (arrays `logits` or `probs`, `labels`, optionally `split`), `.csv`, or a pair of `.npy` files.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from pyarrow import csv, dataset, parquet

from surefoot.core.checks import check_labels, check_logits, check_probs
from surefoot.core.errors import FileError, InputError
from surefoot.core.files import whole_file
from surefoot.core.numerics import softmax
from surefoot.core.types import Labels, Logits, Probs

Kind: TypeAlias = Literal["logits", "probs"]

_SPLIT_CODES = {0: "validation", 1: "test"}
_SPLIT_ALIASES = {"val": "validation", "valid": "validation"}
_GROUP_VALUES = 1 << 21
_LABEL_NAMES = ("label", "labels", "target")


@dataclass(frozen=True)
class Predictions:
    """Scores (n, k), what they are, labels (n,), and where they come from. Checked when made.

    Attributes:
        scores: logits or probabilities.
        kind: which of the two; never guessed from the values.
        labels: class indices.
        split: the part each row belongs to, such as `validation` or `test`; None when it is all one.
        class_names: one name a class, or None.
        provenance: who made this: model, data, loss, seed, command.

    Raises:
        InputError: any of it does not fit; the message says which row.
    """

    scores: np.ndarray
    kind: Kind
    labels: Labels
    split: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check everything at the door."""
        if self.kind not in ("logits", "probs"):
            raise InputError(f"scores are 'logits' or 'probs', got {self.kind!r}")
        scores = (check_logits if self.kind == "logits" else check_probs)(self.scores)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "labels", check_labels(self.labels, *scores.shape))
        if self.class_names is not None and len(self.class_names) != self.k:
            raise InputError(f"{self.k} classes but {len(self.class_names)} class names")
        if self.split is not None:
            object.__setattr__(self, "split", _check_split(self.split, self.n))

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.scores.shape[0]

    @property
    def k(self) -> int:
        """Number of classes."""
        return self.scores.shape[1]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts, sorted; empty when it is all one."""
        return () if self.split is None else tuple(np.unique(self.split).tolist())

    def probs(self) -> Probs:
        """Compute probabilities: the softmax of logits in float64, or what the file holds."""
        return softmax(self.scores) if self.kind == "logits" else self.scores

    def logits(self) -> Logits:
        """Compute logits: what the file holds, or log probabilities.

        An exact 0 counts as the smallest positive probability of the table: below what it resolves, be that rounding to
        six digits or float32's underflow. A fixed tiny floor would let a few zeros decide every temperature.
        """
        if self.kind == "logits":
            return self.scores
        floor = self.scores.min(where=self.scores > 0, initial=1.0)
        return np.log(np.maximum(self.scores, floor), dtype=np.float64)

    def part(self, name: str) -> "Predictions":
        """Return the rows of one part.

        Raises:
            InputError: there is no such part; the message lists those there are.
        """
        if self.split is None or name not in self.parts:
            there = ", ".join(self.parts) or "none (the file has no split)"
            raise InputError(f"no part is called {name!r}; there are: {there}")
        return self.rows(self.split == name)

    def rows(self, which: np.ndarray) -> "Predictions":
        """Return the rows of a mask or an index array."""
        split = None if self.split is None else self.split[which]
        return replace(self, scores=self.scores[which], labels=self.labels[which], split=split)


def _check_split(split: np.ndarray, n: int) -> np.ndarray:
    array = np.asarray(split)
    if array.shape != (n,):
        raise InputError(f"{n} rows but split has shape {array.shape}")
    if array.dtype.kind in "iub":
        unknown = sorted(set(np.unique(array).tolist()) - set(_SPLIT_CODES))
        if unknown:
            raise InputError(f"split holds the code {unknown[0]}; 0 is validation, 1 is test, or use names")
        return np.where(array == 1, "test", "validation")
    names = array.astype(str)
    for alias, name in _SPLIT_ALIASES.items():
        names = np.where(names == alias, name, names)
    return names


def save_predictions(predictions: Predictions, path: Path | str) -> None:
    """Write a `.parquet` or `.npz` file, whole or not at all.

    Raises:
        InputError: the name ends otherwise.
    """
    suffix = Path(path).suffix
    if suffix not in (".parquet", ".npz"):
        raise InputError(f"predictions are written as .parquet or .npz, got {path}")
    with whole_file(path) as temporary:
        if suffix == ".parquet":
            # groups of rows are what a reader must hold at once
            parquet.write_table(
                _to_table(predictions), temporary, row_group_size=max(1, _GROUP_VALUES // predictions.k)
            )
        else:
            np.savez_compressed(temporary, **_to_arrays(predictions))  # type: ignore[arg-type]


def _to_table(p: Predictions) -> pa.Table:
    scores = p.scores.astype(np.float32) if p.scores.dtype == np.float16 else p.scores
    flat = pa.array(np.ascontiguousarray(scores).ravel())
    columns: dict[str, pa.Array] = {p.kind: pa.FixedSizeListArray.from_arrays(flat, p.k), "label": pa.array(p.labels)}
    if p.split is not None:
        columns["split"] = pa.array(p.split.tolist())
    about = {"class_names": p.class_names, "provenance": p.provenance}
    return pa.table(columns).replace_schema_metadata({"surefoot": json.dumps(about)})


def _to_arrays(p: Predictions) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {p.kind: p.scores, "labels": p.labels}
    if p.split is not None:
        arrays["split"] = p.split
    if p.class_names is not None:
        arrays["class_names"] = np.array(p.class_names)
    return arrays | {"provenance": np.array(json.dumps(p.provenance))}


def load_predictions(path: Path | str, labels: Path | str | None = None, kind: Kind | None = None) -> Predictions:
    """Read a table of predictions whole; see the module for the formats.

    Arguments:
        path: the table. For a `.npy` file of scores also `labels`, and what the scores are as `kind`.
        kind: `logits` or `probs`, where the file does not say (`.npy`, or a CSV of bare columns).

    Raises:
        FileError: missing, damaged, or of a kind that is not read.
        InputError: its content is not predictions; the message names the file and the row.
    """
    parts = list(iter_predictions(path, labels, kind))
    if len(parts) == 1:
        return parts[0]
    split = None if parts[0].split is None else np.concatenate([p.split for p in parts])  # type: ignore[misc]
    scores, targets = np.concatenate([p.scores for p in parts]), np.concatenate([p.labels for p in parts])
    return replace(parts[0], scores=scores, labels=targets, split=split)


def iter_predictions(
    path: Path | str, labels: Path | str | None = None, kind: Kind | None = None, values: int = 1 << 22
) -> Iterator[Predictions]:
    """Read a table in batches of about `values` scores (Parquet; other formats come as one), with constant memory."""
    path = Path(path)
    if not path.exists():
        raise FileError(f"cannot read {path}: there is no such file or folder")
    try:
        if path.is_dir() or path.suffix == ".parquet":
            yield from _read_parquet(path, values)
        elif path.suffix == ".npz":
            yield _read_npz(path)
        elif path.suffix == ".csv":
            yield _read_csv(path, kind)
        elif path.suffix == ".npy":
            yield _read_npy(path, labels, kind)
        else:
            raise FileError(f"{path} is none of .parquet (or a folder of them), .npz, .csv, .npy")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except FileError:
        raise
    except Exception as error:  # whatever a damaged file makes its reader raise: zip, zlib, Arrow, NumPy
        raise FileError(f"{path} is damaged or not a {path.suffix or 'Parquet folder'} file: {error}") from error


def _read_parquet(path: Path, values: int) -> Iterator[Predictions]:
    if path.is_dir() and not any(path.rglob("*.parquet")):
        raise FileError(f"{path} is a folder without any .parquet file in it")
    files = sorted(str(f) for f in path.rglob("*.parquet")) if path.is_dir() else [str(path)]
    table = dataset.dataset(files, format="parquet")
    about = json.loads((table.schema.metadata or {}).get(b"surefoot", b"{}"))
    kind = _only_kind(table.schema.names)
    label = _only_label(table.schema.names)
    columns = [kind, label, *(["split"] if "split" in table.schema.names else [])]
    width = getattr(table.schema.field(kind).type, "list_size", 10)
    rows = max(1, values // max(width, 1))
    seen, k = 0, None
    for batch in table.to_batches(columns=columns, batch_size=rows, batch_readahead=1, fragment_readahead=1):
        if not batch.num_rows:
            continue
        names = about.get("class_names")
        try:
            split = _from_column(batch.column(2), "split") if len(columns) == 3 else None
            part = Predictions(
                _from_lists(batch.column(0), kind), kind, _from_column(batch.column(1), label), split,
                tuple(names) if names else None, about.get("provenance", {}),
            )  # fmt: skip
        except InputError as error:
            raise InputError(f"{error} (rows counted from row {seen})" if seen else str(error)) from error
        if k not in (None, part.k):
            raise InputError(f"row {seen} has {part.k} scores, those before it had {k}")
        seen, k = seen + part.n, part.k
        yield part
    if not seen:
        raise InputError("the table has no rows")


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


def _only_kind(names: list[str]) -> Kind:
    kinds = [name for name in ("logits", "probs") if name in names]
    if len(kinds) != 1:
        raise InputError(f"exactly one of 'logits' and 'probs' is needed, got {', '.join(names) or 'nothing'}")
    return kinds[0]  # type: ignore[return-value]


def _only_label(names: list[str]) -> str:
    found = [name for name in _LABEL_NAMES if name in names]
    if len(found) != 1:
        raise InputError(f"exactly one of {', '.join(map(repr, _LABEL_NAMES))} is needed, got {', '.join(names)}")
    return found[0]


def _read_npz(path: Path) -> Predictions:
    # opened here, so that it is closed also where NumPy fails to read it
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        names = list(file.files)
        blocks = [s for s in ("val", "validation", "test") if f"labels_{s}" in names]
        if blocks:  # one array a part, as some publish them
            kind: Kind = "logits" if f"logits_{blocks[0]}" in names else "probs"
            labels = [file[f"labels_{s}"] for s in blocks]
            split = np.concatenate([np.full(len(y), s) for s, y in zip(blocks, labels, strict=True)])
            return Predictions(
                np.concatenate([file[f"{kind}_{s}"] for s in blocks]), kind, np.concatenate(labels), split
            )
        kind = _only_kind(names)
        class_names = tuple(file["class_names"].tolist()) if "class_names" in names else None
        provenance = json.loads(file["provenance"].item()) if "provenance" in names else {}
        split = file["split"] if "split" in names else None
        return Predictions(file[kind], kind, file[_only_label(names)], split, class_names, provenance)


def _read_csv(path: Path, kind: Kind | None) -> Predictions:
    table = csv.read_csv(path)
    label = _only_label(table.column_names)
    others = [name for name in table.column_names if name not in (label, "split")]
    named = {k: [name for name in others if name.lower().startswith(k[:-1])] for k in ("logits", "probs")}
    if kind is None:
        kind = _only_kind([k for k, columns in named.items() if columns])
        others = named[kind]
    columns = [_from_column(table.column(name).combine_chunks(), name) for name in others]
    if not columns:
        raise InputError("the table has no columns of scores")
    split = _from_column(table.column("split").combine_chunks(), "split") if "split" in table.column_names else None
    return Predictions(np.stack(columns, 1), kind, _from_column(table.column(label).combine_chunks(), label), split)


def _read_npy(path: Path, labels: Path | str | None, kind: Kind | None) -> Predictions:
    if labels is None:
        raise InputError("a .npy file of scores needs the labels beside it: give them with --labels labels.npy")
    if kind is None:
        raise InputError("a .npy file does not say what it holds: give --scores logits or --scores probs")
    if not Path(labels).exists():
        raise FileError(f"cannot read {labels}: there is no such file")
    return Predictions(np.load(path, allow_pickle=False), kind, np.load(labels, allow_pickle=False))
