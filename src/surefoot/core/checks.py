"""The door: everything given from outside is checked here once, and refused with a message that teaches.

Every message says what was asked, what was given (shape, row, value) and what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.types import ArrayLike, Confidences, Labels, Logits, Probs

# How far a row of probabilities may be from summing to one: the rounding of k stored values, with room to spare.
_ROUNDED_SUM = 0.2  # by which a sum of values that were written with few digits may miss 1
_FEW = 0.2  # the share of rows below which those that are no distributions are mistakes, not of another kind
LARGEST_LOGIT = 1e290
_SUM_TOLERANCE = {2: 1e-2, 4: 1e-3, 8: 1e-3}


def _as_array(values: ArrayLike, what: str) -> np.ndarray:
    """Turn lists, arrays and tensors (on any device, with or without gradient) into a NumPy array."""
    if isinstance(values, np.ndarray):
        return values
    detached: Any = values.detach().cpu() if hasattr(values, "detach") else values  # type: ignore[union-attr]
    if str(getattr(detached, "dtype", "")) == "torch.bfloat16":
        detached = detached.float()
    try:
        return np.asarray(detached)
    except ValueError as error:
        raise InputError(f"{what} must be a rectangular array, got ragged rows ({error})") from error


def _as_table(values: ArrayLike, what: str) -> np.ndarray:
    """Return a table of numbers (n, k), n >= 1, k >= 2; whether they are finite is not looked at."""
    table = _as_array(values, what)
    if table.dtype.kind not in "fiu":
        raise InputError(f"{what} must be numbers, got dtype {table.dtype}")
    if table.ndim != 2:
        raise InputError(f"{what} must have shape (n, k): samples by classes, got shape {table.shape}")
    n, k = table.shape
    if n == 0:
        raise InputError(f"{what} has no rows (shape {table.shape}); at least one sample is needed")
    if k < 2:
        raise InputError(
            f"{what} has {k} column(s); at least two classes are needed. For a binary classifier with one output z "
            f"pass the columns [0, z] (logits) or [1 - p, p] (probabilities)"
        )
    return table.astype(np.float64) if table.dtype.kind in "iu" else table


def _check_finite(table: np.ndarray, what: str, absent: bool = False) -> None:
    """Refuse NaN and infinity; with `absent`, -inf may stand for a class that a row cannot have."""
    with np.errstate(over="ignore", invalid="ignore"):
        # one cheap pass, which may overflow; look closer only when it fails
        total = table.sum(dtype=np.result_type(table, np.float32))
    if not np.isfinite(total):
        bad = ~np.isfinite(table)
        bad &= ~(absent & np.isneginf(table))
        if bad.any():
            row, column = np.argwhere(bad)[0]
            besides = ", or -inf for a class that the row cannot have" if absent else ""
            raise InputError(
                f"{what} row {row} holds {table[row, column]} in column {column}; every value must be finite{besides}"
            )
        empty = np.isneginf(table).all(1)
        if empty.any():
            raise InputError(f"{what} row {int(np.argmax(empty))} holds -inf in every column: no class is left for it")


def are_distributions(table: np.ndarray) -> bool:
    """Whether every row is a probability distribution: no negative value, sum one."""
    return bool(table.min() >= 0 and table.max() <= 1.001 and np.abs(table.sum(1, dtype=np.float64) - 1).max() <= 1e-5)


def holds_fractions(table: np.ndarray) -> bool:
    """Whether any value is neither 0 nor 1. Rows of zeros and a one may be logits: they tell nothing."""
    return bool(((table != 0) & (table != 1)).any())


_PART: ContextVar[bool] = ContextVar("part", default=False)


@contextmanager
def part_of_a_table() -> Iterator[None]:
    """Check rows of a table alone: whether it holds probabilities instead of logits only all of its rows tell."""
    token = _PART.set(True)
    try:
        yield
    finally:
        _PART.reset(token)


def refuse_distributions(table: np.ndarray) -> None:
    """Refuse probabilities where logits are asked for.

    Raises:
        InputError: every row is a distribution, and some hold fractions.
    """
    # The first row settles it almost always: spare the pass over a large table.
    if are_distributions(table[:1]) and are_distributions(table) and holds_fractions(table):
        raise InputError(NOT_LOGITS + FROM_PYTHON)


NOT_LOGITS = (
    "logits: every row is non-negative and sums to 1; these are probabilities: pass their logarithm, or name them so "
    "where they come from a file (the array 'probs', in a CSV the columns prob_0, ..., or `--scores probs`)"
)
FROM_PYTHON = "; if they are logits all the same, call it inside of `with surefoot.core.checks.part_of_a_table():`"


def check_logits(logits: ArrayLike) -> Logits:
    """Return logits as a float array (n, k), or say which row is not one.

    Raises:
        InputError: wrong shape, no rows, one class, NaN or +inf, -inf in every column, or a table of probabilities.

    -inf is let through: a class that is absent from the row. The least numbers of float64, which stand for it in masks,
    become -inf.

    >>> check_logits([[0.2, 0.8], [0.5, 0.5]])
    Traceback (most recent call last):
    surefoot.core.errors.InputError: logits: every row is non-negative and sums to 1; these are probabilities: ...
    """
    table = _as_table(logits, "logits")
    if table.dtype.itemsize > 4:
        table = _within_reach(table)
    _check_finite(table, "logits", absent=True)
    if not _PART.get():
        refuse_distributions(table)
    return table


def _within_reach(table: np.ndarray) -> np.ndarray:
    """Return logits whose differences, and sums over rows, float64 can hold; refuse those above."""
    if table.min() < -LARGEST_LOGIT:
        table = np.where(table < -LARGEST_LOGIT, -np.inf, table)
    if table.max() > LARGEST_LOGIT:
        above = np.argwhere((table > LARGEST_LOGIT) & np.isfinite(table))
        if len(above):
            row, column = above[0]
            raise InputError(
                f"logits row {row} holds {table[row, column]} in column {column}; above {LARGEST_LOGIT:g} losses "
                "overflow"
            )
    return table


def check_possible(logits: Logits, labels: Labels) -> None:
    """Refuse a row whose label is a class that it cannot have: its logit is -inf.

    Raises:
        InputError: there is one; the message names it.
    """
    impossible = np.isneginf(logits[np.arange(len(labels)), labels])
    if impossible.any():
        row = int(np.argmax(impossible))
        raise InputError(
            f"logits row {row} holds -inf for its own label, {labels[row]}: its loss is infinite; -inf may only stand "
            f"for a class that the row cannot have"
        )


def check_probs(probs: ArrayLike) -> Probs:
    """Return probabilities as a float array (n, k), or say which row is not a distribution.

    Raises:
        InputError: wrong shape, no rows, one class, NaN or infinity, or a row that is not a distribution.

    >>> check_probs([[0.5, 0.5], [2.0, -1.0]])
    Traceback (most recent call last):
    surefoot.core.errors.InputError: probs row 1 is not a distribution (sum 1, min -1); these look like logits: ...
    """
    table = _as_table(probs, "probs")
    with np.errstate(over="ignore", invalid="ignore"):
        # BLAS sums rows fastest; the error of both is far below the tolerance
        half = table.dtype.itemsize < 4
        sums = table.sum(1, dtype=np.float32) if half else table @ np.ones(table.shape[1], dtype=table.dtype)
    tolerance = _SUM_TOLERANCE.get(table.dtype.itemsize, 1e-3)
    if not (table.min() >= 0 and np.abs(sums - 1).max() <= tolerance):  # true for NaN and infinity, too
        _check_finite(table, "probs")
        lows = table.min(1)
        wrong = (lows < 0) | (np.abs(sums - 1) > tolerance)
        row = int(np.argmax(wrong))
        what = _instead_of_probs(table, sums, wrong, row)
        raise InputError(f"probs row {row} is not a distribution (sum {sums[row]:.6g}, min {lows[row]:.6g}); {what}")
    return table


def _instead_of_probs(table: np.ndarray, sums: np.ndarray, wrong: np.ndarray, row: int) -> str:
    """Say what rows that are not distributions look like, and what to do."""
    if table.min() >= 0 and np.abs(sums / 100 - 1).max() <= _ROUNDED_SUM:
        return "these look like percent: divide them by 100"
    if table[row].min() >= 0 and abs(sums[row] - 1) <= _ROUNDED_SUM:
        return "these look like rounded probabilities: keep more digits, or divide each row by its sum"
    if wrong.mean() < _FEW:
        others = "the other rows are" if wrong.sum() == 1 else f"{wrong.sum():,} of {len(wrong):,} rows are not"
        return f"{others}: look at this one; no probability is negative, and those of a row sum to 1"
    if table.min() >= 0 and table.max() <= 1:
        return (
            "these look like probabilities of independent labels: give labels of their shape, (n, labels), in an .npz; "
            "of exclusive classes, divide each row by its sum"
        )
    return (
        "these look like logits: apply softmax over the classes, or name them so in the file (the array 'logits', in a "
        "CSV the columns logit_0, ...)"
    )


def check_labels(labels: ArrayLike, n: int, k: int) -> Labels:
    """Return labels as an integer array (n,) with values in 0..k-1, or say which row is not one.

    Raises:
        InputError: wrong length or shape, not integers, or a class that does not exist.
    """
    array = _as_array(labels, "labels")
    if array.ndim != 1:
        raise InputError(f"labels must have shape (n,): one class index a sample, got shape {array.shape}")
    if len(array) != n:
        raise InputError(f"{n} rows of scores but {len(array)} labels; they must match one to one")
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array))
        if not whole.all():
            row = int(np.argmin(whole))
            raise InputError(f"labels row {row} is {array[row]}; a label is a whole number, 0 to {k - 1}")
    elif array.dtype.kind in "OSU" and len(array):
        row = next((i for i, label in enumerate(array.tolist()) if not str(label).strip().isdecimal()), 0)
        raise InputError(
            f"labels row {row} is {str(array[row])!r:.40}; a label is the number of its class, 0 to {k - 1}, not a name"
        )
    elif array.dtype.kind not in "iub":
        raise InputError(f"labels must be class indices 0 to {k - 1}, got dtype {array.dtype}")
    outside = (array < 0) | (array >= k)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"labels row {row} is {array[row]:.0f}, outside 0 to {k - 1} (the scores have {k} columns)")
    return array.astype(np.int64, copy=False)


def check_confidences(confidences: ArrayLike, n: int | None = None) -> Confidences:
    """Return confidences as a float array (n,) with values in [0, 1], or say which row is not one."""
    array = _as_array(confidences, "confidences")
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise InputError(f"confidences must be numbers of shape (n,), got {array.dtype} of shape {array.shape}")
    if len(array) == 0:
        raise InputError("confidences are empty; at least one sample is needed")
    if n is not None and len(array) != n:
        raise InputError(f"{len(array)} confidences but {n} outcomes; they must match one to one")
    if not (array.min() >= 0 and array.max() <= 1):  # false for NaN, too
        row = int(np.argmin((array >= 0) & (array <= 1)))
        raise InputError(f"confidences row {row} is {array[row]}; a confidence lies between 0 and 1")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def check_bins(bins: int) -> int:
    """Return the number of bins, or say that it is not one."""
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise InputError(f"the number of bins must be a whole number of at least 1, got {bins!r}")
    return int(bins)
