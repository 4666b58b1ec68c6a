"""Classwise calibration by equal-width bins: every column of the probabilities against its own class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from surefoot.core.bins import bin_index
from surefoot.core.checks import check_bins, check_labels
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored, scored
from surefoot.core.types import ArrayLike
from surefoot.metrics.base import Tally
from surefoot.metrics.reliability import BINS, zero_in_first

_CHUNK_VALUES = 1 << 18  # probabilities at a time: a megabyte stays in the cache


@dataclass(frozen=True)
class Classwise(Tally):
    """For each class and bin of its probability: sum of probabilities, and rows of it. Bin 0 is for exactly 0."""

    n: float
    confidence: Float[np.ndarray, "k b"]
    correct: Float[np.ndarray, "k b"]

    @staticmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add up with weights."""
        if len({t.correct.shape for t in tallies}) > 1:  # type: ignore[attr-defined]
            raise InputError("tallies of different numbers of classes or bins do not add")
        n = weights @ np.array([t.n for t in tallies])  # type: ignore[attr-defined]
        stack = np.array([(t.confidence, t.correct) for t in tallies])  # type: ignore[attr-defined]
        return [Classwise(float(m), *sums) for m, sums in zip(n, np.tensordot(weights, stack, 1), strict=True)]

    def bounded(self, share: int) -> "Classwise":
        """Return itself: its size is fixed."""
        return self


def observe_classwise(probs: ArrayLike | Scored, labels: ArrayLike, bins: int = BINS) -> Classwise:
    """Tally every class's probabilities and rows by bin.

    Only probabilities above the first bin, fewer than `bins` a row, are looked up; the first bin is what is left of
    the column sums.
    """
    table = scored(probs).probs
    target = check_labels(labels, *table.shape)
    bins = check_bins(bins)
    n, k = table.shape
    width = bins + 1
    first_edge = table.dtype.type(1 / bins)
    columns, upper = np.zeros(k), np.zeros(k * width)
    step = max(1, _CHUNK_VALUES // k)
    for start in range(0, n, step):
        chunk = np.ascontiguousarray(table[start : start + step])
        columns += chunk.sum(0, dtype=np.float64)
        above = np.flatnonzero(chunk > first_edge)
        values = chunk.ravel()[above]
        cell = (above % k) * width + bin_index(np.minimum(values, 1), bins)
        upper += np.bincount(cell, weights=values, minlength=k * width)
    confidence = upper.reshape(k, width)
    confidence[:, 1] = np.maximum(columns - confidence[:, 2:].sum(1), 0.0)
    of_target = table[np.arange(n), target]
    cell = target * width + bin_index(np.minimum(of_target, 1), bins)
    return Classwise(float(n), confidence, np.bincount(cell, minlength=k * width).reshape(k, width).astype(np.float64))


def read_classwise_ece(tally: Classwise) -> float:
    """Read the mean over classes of the ECE of that class's column.

    Every class of the table counts, also one that never occurs.
    Reference: Kull et al. 2019, eq. 6; Nixon et al. 2019 (static calibration error).

    >>> round(read_classwise_ece(observe_classwise([[0.9, 0.1], [0.6, 0.4]], [0, 1])), 6)
    0.35
    """
    gaps = np.abs(zero_in_first(tally.confidence) - zero_in_first(tally.correct)).sum(1)
    return float(gaps.mean() / tally.n)


def read_classwise_ece_parity(tally: Classwise) -> float:
    """Read classwise ECE as the focal-calibration code does: classes up to the last label seen, exact zeros dropped."""
    classes = int(np.flatnonzero(tally.correct.sum(1)).max()) + 1
    gaps = np.abs(tally.confidence[:classes, 1:] - tally.correct[:classes, 1:]).sum(1)
    return float(gaps.mean() / tally.n)
