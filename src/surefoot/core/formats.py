"""Tables in one file that are read whole: .npz, .csv, .npy."""

import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.lib.format import read_array
from pyarrow import csv

from surefoot.core.columns import check_version, in_class_order, named_resolution, only_kind, only_label, values_of
from surefoot.core.errors import FileError, InputError, Taken
from surefoot.core.files import open_npz, parse_json
from surefoot.core.precision import smallest
from surefoot.core.predictions import Kind, Predictions
from surefoot.core.shapes import refuse_one_hot, rows_of_pixels, rows_of_sigmoids

_ASPECTS = ("image", "label")  # what pixels and sigmoids can be told apart by, without an array for it
_FIXED = re.compile(r"\s*[+-]?[0-9]*\.(?P<decimals>[0-9]+)\s*")


def read_npz(path: Path, by: str | None) -> Predictions:
    """Read a table of arrays."""
    with open_npz(path) as file:
        names = list(file.files)
        if "surefoot_version" in names:
            check_version(file["surefoot_version"].tolist(), path)
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
        kind = only_kind(names)
        class_names = tuple(np.atleast_1d(file["class_names"]).tolist()) if "class_names" in names else None
        about = file["provenance"].tolist() if "provenance" in names else "{}"
        if not isinstance(about, str):
            raise InputError(f"array 'provenance' must be one text, got {about!r:.60}")
        provenance = parse_json(about)
        split = file["split"] if "split" in names else None
        scores, labels = file[kind], file[only_label(names)]
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
        return Predictions(scores, kind, labels, split, class_names, provenance, group, *named_resolution(named, kind))


def read_csv(path: Path, kind: Kind | None, by: str | None) -> Predictions:
    """Read a table of columns of numbers."""
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
    label = only_label(table.column_names)
    others = [name for name in table.column_names if name not in (label, "split", by)]
    named = {k: [name for name in others if name.lower().startswith(k[:-1])] for k in ("logits", "probs")}
    if kind is None:
        if not any(named.values()):
            raise InputError(
                f"columns prob_0, prob_1, ... or logit_0, logit_1, ... are needed (or --scores, if all but label and "
                f"split are scores); there are: {', '.join(table.column_names)}"
            )
        kind = only_kind([k for k, columns in named.items() if columns])
        others = named[kind]
    columns = [values_of(table.column(name).combine_chunks(), name) for name in in_class_order(others)]
    if not columns:
        raise InputError("the table has no columns of scores")
    split = values_of(table.column("split").combine_chunks(), "split") if "split" in table.column_names else None
    group = values_of(table.column(by).combine_chunks(), by) if by is not None else None
    target = values_of(table.column(label).combine_chunks(), label)
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


def read_npy(path: Path, labels: Path | str | None, kind: Kind | None) -> Predictions:
    """Read an array of scores, and its labels beside it."""
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
