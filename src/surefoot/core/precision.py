"""What a stored probability of exactly 0 stands for: one floor for a table, from the precision it was written with."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from surefoot.core.types import ArrayLike, Probs

# Decimals that are looked for, by the bytes of the type: with more, any number would be one of so many decimals.
_DECIMALS = {2: 2, 4: 6}
_MOST_DECIMALS = 12
_SNAPPED = 1e-14  # by which a decimal may be off after a logarithm and back
_LOOK = 1 << 12  # values that are tried first: they settle it for numbers that were never rounded


@dataclass(frozen=True)
class Zeros:
    """How many probabilities of exactly 0 a table stores, and what each of them counts as.

    Attributes:
        at_labels: how many rows store it for their own label.
        rows: how many rows the table has.
    """

    stored: int
    count_as: float
    at_labels: int = 0
    rows: int = 0

    def __add__(self, other: "Zeros") -> "Zeros":
        """Return those of both lots of rows of one table."""
        sums = (self.stored + other.stored, self.at_labels + other.at_labels, self.rows + other.rows)
        return Zeros(sums[0], self.count_as, *sums[1:])

    @property
    def in_nll(self) -> float:
        """What rows that store 0 for their own label add to the mean NLL of all rows."""
        return -self.at_labels * math.log(self.count_as) / self.rows if self.rows else 0.0

    @property
    def sentence(self) -> str:
        """Say it."""
        what = (
            f"{self.stored:,} probabilities of exactly 0 are" if self.stored > 1 else "One probability of exactly 0 is"
        )
        why = "the smallest number of its type" if is_smallest(self.count_as) else "the resolution of the table"
        said = f"{what} stored; each counts as {self.count_as:.3g}, {why}."
        if not self.at_labels:
            return said
        whose = f"{self.at_labels:,} rows store it for their own label"
        if self.at_labels == 1:
            whose = "One row stores it for its own label"
        return f"{said} {whose}: {self.in_nll:.4f} of the NLL comes of that."


def smallest(dtype: np.dtype) -> float:
    """Return the smallest positive number that a floating type writes with all its digits.

    >>> smallest(np.dtype(np.float32))
    1.1754943508222875e-38
    """
    return float(np.finfo(dtype).smallest_normal)


def is_smallest(value: float) -> bool:
    """Whether a number is the `smallest` of a floating type: a type writes less, but not with all its digits."""
    return value in (smallest(np.dtype(kind)) for kind in (np.float16, np.float32, np.float64))


def resolution(probs: Probs) -> float:
    """Return the unit of the last decimal where all values (n, k) are decimals of few digits, else `smallest`.

    1 says that all values are 0 or 1: nothing is known of how they were rounded. The resolution of a table is the least
    of its parts', so it does not depend on how the table is divided.

    >>> resolution(np.array([[0.9, 0.099999, 0.000001], [0.9, 0.1, 0.0]])), resolution(np.array([[1 / 3, 2 / 3]]))
    (1e-06, 2.2250738585072014e-308)
    """
    flat = probs.reshape(-1)
    decimals = 0
    for part in (flat[:_LOOK], flat[_LOOK:]):
        most = _DECIMALS.get(probs.dtype.itemsize, _MOST_DECIMALS)
        while decimals <= most and not _is_decimal(part, decimals):
            decimals += 1
        if decimals > most:
            return smallest(probs.dtype)
    return 10.0**-decimals


def _is_decimal(values: np.ndarray, decimals: int) -> bool:
    if values.dtype.itemsize < 8:
        return bool((np.round(values.astype(np.float64), decimals).astype(values.dtype) == values).all())
    # a few units of rounding are let pass: one less a decimal is a decimal, but not to the last digit
    return bool((np.abs(np.round(values, decimals) - values) <= 1e-15 * values).all())


def floor_of(resolution_of_table: float, dtype: np.dtype) -> float:
    """Return what a stored 0 counts as: the resolution, or the type's smallest number where nothing is known of it."""
    return resolution_of_table if resolution_of_table < 1 else smallest(dtype)


class LogProbs(np.ndarray):
    """Logarithms of stored probabilities (n, k) that know which of them are of an exact 0, and what that counts as.

    A stored 0 is the number just below the logarithm of the floor. Rows that are picked and copies, also pickled ones,
    know it, too; what is computed from them is a plain array, and one that is computed in place forgets it.
    """

    floor: float | None = None
    stored: np.dtype | None = None

    def __array_finalize__(self, of: Any) -> None:
        """Keep the floor in parts."""
        self.floor, self.stored = getattr(of, "floor", None), getattr(of, "stored", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple = (), **more: Any) -> Any:
        """Compute with plain arrays."""
        if out:
            for array in out:
                if isinstance(array, LogProbs):
                    array.floor = array.stored = None
            more["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*map(_plain, inputs), **more)
        return out[0] if len(out) == 1 else result

    def __reduce__(self) -> Any:
        """Pickle the floor, too."""
        make, arguments, state = super().__reduce__()  # type: ignore[misc]
        return make, arguments, (state, self.floor, self.stored)

    def __setstate__(self, state: Any) -> None:
        """Restore what `__reduce__` gave."""
        array, self.floor, self.stored = state
        super().__setstate__(array)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, LogProbs) else value


def log_probs(probs: Probs, floor: float) -> LogProbs:
    """Compute logarithms, and mark those of exact zeros. No other value is changed, also where it is below the floor.

    >>> logs = log_probs(np.array([[0.99, 0.01, 0.0]]), 0.01)
    >>> logs.round(3).tolist(), zeros_of(logs)[1].tolist()
    ([[-0.01, -4.605, -4.605]], [[False, False, True]])
    """
    with np.errstate(divide="ignore"):
        logs = np.log(probs, dtype=np.float64).view(LogProbs)
    logs[logs == _mark(floor)] = np.log(floor)  # that number says that a 0 was stored
    logs[probs == 0] = _mark(floor)
    logs.floor, logs.stored = floor, probs.dtype
    return logs


def stored_probs(logits: ArrayLike) -> Probs | None:
    """Return the very probabilities that were stored, to the last digit; None for any other logits."""
    if not isinstance(logits, LogProbs) or logits.floor is None or logits.dtype != np.float64:
        return None
    probs = np.exp(logits)
    probs[logits.view(np.ndarray) == _mark(logits.floor)] = 0
    if logits.stored is not None and logits.stored.itemsize < probs.dtype.itemsize:
        return probs.astype(logits.stored)
    if logits.floor < 10.0**-_MOST_DECIMALS:
        return probs
    decimals = np.round(probs, round(-np.log10(logits.floor)))
    return np.where(np.abs(decimals - probs) <= _SNAPPED * probs, decimals, probs)


def zeros_of(logits: ArrayLike) -> tuple[ArrayLike, Bool[np.ndarray, "n k"] | None, float | None]:
    """Return plain logits; and if they are of probabilities with exact zeros: which these are, and their floor."""
    if not isinstance(logits, LogProbs) or logits.floor is None or logits.dtype != np.float64:
        return logits, None, None
    plain = logits.view(np.ndarray)
    zero = plain == _mark(logits.floor)
    return (plain, zero, logits.floor) if zero.any() else (plain, None, None)


def without_zeros(logits: ArrayLike) -> tuple[ArrayLike, float | None]:
    """Return logits with -inf for stored zeros, and what those count as; other logits as they are, and None."""
    plain, zero, floor = zeros_of(logits)
    return (plain, None) if zero is None else (np.where(zero, -np.inf, np.asarray(plain)), floor)


def _mark(floor: float) -> float:
    return float(np.nextafter(np.log(floor), -np.inf))
