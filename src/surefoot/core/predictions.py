"""The Predictions file: what a model said about rows whose label is known. The door to everything after training.

On disk it is Parquet (columns `logits` or `probs`, fixed-size lists; `label`; optionally `split`), a folder of such
files, `.npz` (arrays `logits` or `probs`, `labels`, optionally `split`), `.csv`, or a pair of `.npy` files.
"""

import json
import warnings
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from surefoot.core.checks import check_labels, check_logits, check_possible, check_probs, part_of_a_table
from surefoot.core.errors import InputError, Taken
from surefoot.core.files import whole_file
from surefoot.core.numerics import softmax
from surefoot.core.precision import Zeros, floor_of, is_smallest, log_probs, resolution
from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Logits, Probs

Kind: TypeAlias = Literal["logits", "probs"]

VERSION = 1  # of the files; those that name none, also other people's, are read as this one
_SPLIT_CODES = {0: "validation", 1: "test"}
_SPLIT_ALIASES = {"val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_GROUP_VALUES = 1 << 21


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
        group: what each row belongs to, such as a site, if a column was asked for; as text.
        resolution: the least probability that the whole table was written with, see `core.precision`; found if it is
            not given, and kept by the table's parts. None for logits.
        zeros_count_as: what a stored probability of 0 counts as, where that is not what the resolution says: of a table
            that was rounded, a calibrator gives new numbers to all but the zeros.

    Raises:
        InputError: any of it does not fit; the message says which row.
    """

    scores: np.ndarray
    kind: Kind
    labels: Labels
    split: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    group: np.ndarray | None = None
    resolution: float | None = None
    zeros_count_as: float | None = None

    def __post_init__(self) -> None:
        """Check everything at the door."""
        if self.kind not in ("logits", "probs"):
            raise InputError(f"scores are 'logits' or 'probs', got {self.kind!r}")
        scores = (check_logits if self.kind == "logits" else check_probs)(self.scores)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "labels", check_labels(self.labels, *scores.shape))
        if self.kind == "logits":
            check_possible(scores, self.labels)
        elif self.resolution is None:
            object.__setattr__(self, "resolution", resolution(scores))
        else:
            _check_resolution(self.resolution, scores)
        _check_about(self.class_names, self.provenance)
        if self.class_names is not None and len(self.class_names) != self.k:
            raise InputError(f"{self.k} classes but {len(self.class_names)} class names")
        if self.split is not None:
            object.__setattr__(self, "split", _check_split(self.split, self.n))
        if self.group is not None:
            names = np.asarray(self.group).astype(str)
            if names.shape != (self.n,):
                raise InputError(f"{self.n} rows but the column of groups has shape {names.shape}")
            object.__setattr__(self, "group", names)

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

    def scored(self) -> Scored:
        """Return what metrics take: probabilities with the logarithms that logits have, or with the table's floor."""
        return Scored.of_logits(self.scores) if self.kind == "logits" else Scored.of_probs(self.scores, self.floor)

    def logits(self) -> Logits:
        """Compute logits: what the file holds, or log probabilities, where an exact 0 is about that of the floor.

        To a calibrator an exact 0 is a class that the row cannot have; its loss is that of the floor
        (`precision.LogProbs`).
        """
        if self.kind == "logits":
            return self.scores
        return log_probs(self.scores, self.floor)

    @property
    def floor(self) -> float:
        """What a stored probability of 0 counts as, everywhere: the least that the table's precision can write."""
        if self.zeros_count_as is not None:
            return self.zeros_count_as
        return floor_of(1.0 if self.resolution is None else self.resolution, self.scores.dtype)

    @property
    def zeros(self) -> Zeros | None:
        """How many probabilities of exactly 0 are stored, and what they count as; None where there is none."""
        stored = 0 if self.kind == "logits" else int(self.scores.size - np.count_nonzero(self.scores))
        at_labels = int((self.scores[np.arange(self.n), self.labels] == 0).sum()) if stored else 0
        return Zeros(stored, self.floor, at_labels, self.n) if stored else None

    def at_resolution(self, least: float | None) -> "Predictions":
        """Return the same rows as part of a table of this resolution."""
        rows = copy(self)
        object.__setattr__(rows, "resolution", least)
        return rows

    def part(self, name: str) -> "Predictions":
        """Return the rows of one part.

        Raises:
            InputError: there is no such part; the message lists those there are.
        """
        chosen = self.in_part(name)
        if not chosen.any():
            names = ", ".join(self.parts) or "none (the file has no split)"
            raise InputError(f"no part is called {name!r}; there are: {names}")
        return self.rows(chosen)

    def in_part(self, name: str) -> np.ndarray:
        """Return which rows are of a part; capitals do not matter in `validation` and `test`."""
        return np.full(self.n, False) if self.split is None else np.isin(self.split, (name, _part_name(name)))

    def rows(self, which: np.ndarray) -> "Predictions":
        """Return the rows of a mask or an index array."""
        split, group = (None if x is None else x[which] for x in (self.split, self.group))
        with part_of_a_table():
            return replace(self, scores=self.scores[which], labels=self.labels[which], split=split, group=group)


def _check_resolution(named: float, scores: Probs) -> None:
    """Refuse a resolution above a value of the table, which could not have been written with it."""
    if named == 1 or is_smallest(named):
        return
    below = (scores > 0) & (scores < named * (1 - 1e-3))
    if below.any():
        row, column = np.argwhere(below)[0]
        raise InputError(
            f"resolution {named:g} is above the probability {scores[row, column]:g} of row {row}: a table holds no "
            f"number below its resolution but 0; leave it out, or write the table again"
        )


def _check_about(class_names: object, provenance: object) -> None:
    names_fit = class_names is None or (
        isinstance(class_names, tuple) and all(isinstance(name, str | int) for name in class_names)
    )
    if not names_fit:
        raise InputError(f"class names must be a list of texts, got {class_names!r:.60}")
    if not isinstance(provenance, dict) or not all(isinstance(x, str) for pair in provenance.items() for x in pair):
        raise InputError(f"provenance must be an object of texts, got {provenance!r:.60}")


def _check_split(split: np.ndarray, n: int) -> np.ndarray:
    array = np.asarray(split)
    if array.shape != (n,):
        raise InputError(f"{n} rows but split has shape {array.shape}")
    if array.dtype.kind in "iubf":
        unknown = sorted(set(np.unique(array).tolist()) - set(_SPLIT_CODES))
        if unknown:
            raise InputError(f"split holds the code {unknown[0]:g}; 0 is validation, 1 is test, or use names")
        return np.where(array == 1, "test", "validation")
    names = array.astype(str)
    for given in np.unique(names).tolist():
        name = _part_name(given)
        if name == given:
            continue
        if given not in ("val", "valid"):
            warnings.warn(f"the part {given!r} is taken for {name!r}", Taken, stacklevel=2)
        names = np.where(names == given, name, names)
    return names


def _part_name(given: str) -> str:
    """Return what a part is called here, whatever its capitals and the spaces around it; other names as they are."""
    return _SPLIT_ALIASES.get(given.strip().lower(), given)


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


def _named_resolution(p: Predictions) -> float:
    return floor_of(1.0 if p.resolution is None else p.resolution, p.scores.dtype)


def _to_table(p: Predictions) -> pa.Table:
    scores = p.scores.astype(np.float32) if p.scores.dtype == np.float16 else p.scores
    flat = pa.array(np.ascontiguousarray(scores).ravel())
    columns: dict[str, pa.Array] = {p.kind: pa.FixedSizeListArray.from_arrays(flat, p.k), "label": pa.array(p.labels)}
    if p.split is not None:
        columns["split"] = pa.array(p.split.tolist())
    about = {"version": VERSION, "class_names": p.class_names, "provenance": p.provenance}
    about |= {} if p.kind == "logits" else {"resolution": _named_resolution(p)}
    about |= {} if p.zeros_count_as is None else {"zeros_count_as": p.zeros_count_as}
    return pa.table(columns).replace_schema_metadata({"surefoot": json.dumps(about)})


def _to_arrays(p: Predictions) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {p.kind: p.scores, "labels": p.labels}
    if p.split is not None:
        arrays["split"] = p.split
    if p.class_names is not None:
        arrays["class_names"] = np.array(p.class_names)
    if p.kind == "probs":
        arrays["resolution"] = np.array(_named_resolution(p))
    if p.zeros_count_as is not None:
        arrays["zeros_count_as"] = np.array(p.zeros_count_as)
    return arrays | {"provenance": np.array(json.dumps(p.provenance)), "surefoot_version": np.array(VERSION)}
