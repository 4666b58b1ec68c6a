"""The columns of a table: which holds the scores, which the labels, and which class each is of."""

import re

import numpy as np
import pyarrow as pa

from surefoot.core.errors import FileError, InputError
from surefoot.core.predictions import VERSION, Kind

_LABEL_NAMES = ("label", "labels", "target")
_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>[0-9]{1,9})", re.DOTALL)
# The same where the number is not the last: `prob_2.0`, of classes that were floats, `prob[2]`, `prob(2)`.
_NUMBERED_OTHERWISE = re.compile(r"(?P<stem>.*?)[\[(]?(?P<number>[0-9]{1,9})(?:\.0+)?[\])]?", re.DOTALL)
_OF_A_CLASS = re.compile(r"(?:logits?|probs?)[_ -]?")  # stems of columns that name their class by its number
_WITHOUT_LETTERS = re.compile(r"(?:logits?|probs?)[\W\d_]*")  # and such columns whole, however they write it


def only_kind(names: list[str], path: str = "") -> Kind:
    """Return which of the two kinds of scores there is, or say that it is not one."""
    kinds = [name for name in ("logits", "probs") if name in names]
    if len(kinds) != 1:
        where = f"{path}: " if path else ""
        raise InputError(f"{where}exactly one of 'logits' and 'probs' is needed, got {', '.join(names) or 'nothing'}")
    return kinds[0]  # type: ignore[return-value]


def only_label(names: list[str]) -> str:
    """Return the name of the labels, or say that there is none, or more than one."""
    labels = [name for name in _LABEL_NAMES if name in names]
    if len(labels) != 1:
        raise InputError(f"exactly one of {', '.join(map(repr, _LABEL_NAMES))} is needed, got {', '.join(names)}")
    return labels[0]


def in_class_order(columns: list[str]) -> list[str]:
    """Return columns in the order of the classes: by the number in each name, whatever their place.

    Columns that are called after the classes alone (`prob_cat`) stay in their order.

    Raises:
        InputError: the numbers are not 0 to k - 1, each once, only some of the columns have one, or it cannot be read.

    >>> in_class_order(["prob_0", "prob_2", "prob_1"]), in_class_order(["prob_dog", "prob_cat"])
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


def values_of(column: pa.Array, name: str) -> np.ndarray:
    """Return the values of a column; one that is missing is named by its row."""
    if column.null_count:
        raise InputError(f"column {name!r} has no value in row {first_null(column)}")
    return column.to_numpy(zero_copy_only=False)


def first_null(column: pa.Array) -> int:
    """Return the row of the first value that is missing."""
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))


def check_version(version: object, path: object) -> None:
    """Refuse a file of another version."""
    if version != VERSION:
        raise FileError(f"{path} is of version {version}; this surefoot reads version {VERSION}")


def named_resolution(about: dict, kind: Kind) -> tuple[float | None, float | None]:
    """Return the resolution that a file names, and what it says that zeros count as; None where it says nothing."""
    values: list[float | None] = []
    for name in ("resolution", "zeros_count_as"):
        value = None if kind == "logits" else about.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1):
            raise InputError(f"{name} must be a number above 0, at most 1; got {value!r:.60}")
        values.append(None if value is None else float(value))
    return values[0], values[1]
