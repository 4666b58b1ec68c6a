"""Classes that are absent from a row: their logit is -inf, or so low that no temperature considered gives them a share.

Softmax and its temperature leave an absent class at 0 whatever number stands for it. A calibrator that mixes classes
would put that number into the others, so it refuses the row.
"""

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.types import Labels, Logits
from surefoot.recalibrate.steps import Affine, Mix, RowTemperature, Step

UNDERFLOW = 745.0  # exp of less than minus this is 0 in float64
_STAND_IN = -1e38  # for -inf, so that 0 times it is 0; float32 holds it


def finite(logits: Logits) -> Logits:
    """Replace -inf by a finite number far below all others; other tables are returned as they are."""
    absent = np.isneginf(logits)
    if not absent.any():
        return logits
    peak = float(np.abs(logits[~absent]).max())
    if peak > 1e30:
        return np.where(absent, -min(1e6 * peak, 1e308), logits.astype(np.float64))
    return np.where(absent, np.float32(_STAND_IN), logits.astype(np.result_type(logits, np.float32)))


def possible(logits: Logits, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Leave rows out whose label is absent from them, as that of a stored probability of 0: they move no likelihood."""
    of_label = logits[np.arange(len(labels)), labels]
    kept = ~((of_label < 0.99 * _STAND_IN) & (of_label > 1.01 * _STAND_IN))
    return (logits, labels) if kept.all() else (logits[kept], labels[kept])


def first_absent(logits: Logits, gap: float) -> tuple[int, int] | None:
    """Find the first row with a class further than `gap` below its largest logit: both.

    A row where no other class is left is let pass, unless the number that stands for absent ones is -inf.
    """
    peak = logits.max(1, keepdims=True)
    far = peak.astype(np.float64) - logits > gap
    count = far.sum(1)
    rows = np.flatnonzero((count > 0) & ((count < logits.shape[1] - 1) | np.isneginf(logits.min(1))))
    return (int(rows[0]), int(far[rows[0]].argmax())) if len(rows) else None


def refuse_absent(logits: Logits, gap: float, what: str) -> None:
    """Refuse a table with a class that is absent from a row.

    Raises:
        InputError: there is one; the message names row and column.
    """
    absent = first_absent(logits, gap)
    if absent is not None:
        row, column = absent
        raise InputError(
            f"logits row {row} holds {logits[row, column]:g} in column {column}, which is absent from it; {what} would "
            f"mix that number into the other classes: use temperature or vector scaling"
        )


def refuse_lifted(steps: tuple[Step, ...], logits: Logits) -> None:
    """Refuse -inf in a column whose weight is not above 0: the class would not stay absent.

    Raises:
        InputError: there is one; the message names row and column.
    """
    absent = np.isneginf(logits)
    if not absent.any():
        return
    for step in steps:
        if isinstance(step, Mix):
            for part in step.parts:
                refuse_lifted(part, logits)
        if isinstance(step, Affine) and step.weight.ndim < 2:
            lifted = absent & (step.weight <= 0)
            if lifted.any():
                row, column = np.argwhere(lifted)[0]
                raise InputError(
                    f"logits row {row} holds -inf in column {column}, whose weight is not above 0: the "
                    f"class would not stay absent; use temperature scaling"
                )


def one_sided(logits: Logits, labels: Labels) -> bool:
    """Whether no row is wrong, or none is right: on such rows alone no calibrator has a finite fit."""
    right = int(np.count_nonzero(logits[np.arange(len(labels)), labels] >= logits.max(1)))
    return right in (0, len(labels))


def mixes(steps: tuple[Step, ...]) -> bool:
    """Whether a calibrator lets the logits of one class decide on others by their size: a matrix, or a network."""
    return any(
        isinstance(step, RowTemperature)
        or (isinstance(step, Affine) and step.weight.ndim == 2)
        or (isinstance(step, Mix) and any(mixes(part) for part in step.parts))
        for step in steps
    )
