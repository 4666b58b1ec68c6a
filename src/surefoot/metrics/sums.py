"""Readings of many weighted sums of tallies at once, for the bootstrap: as `recombine` and `read`, but faster."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from surefoot.metrics.base import Tally
from surefoot.metrics.ranking import Ranking
from surefoot.metrics.reliability import zero_in_first


def _mean(tallies: Sequence[Tally], weights: np.ndarray, column: str) -> np.ndarray:
    """Return a column of weighted sums of `Scores`, divided by the number of rows."""
    total, rows = (weights @ np.array([getattr(t, name) for t in tallies]) for name in (column, "n"))
    return np.maximum(total / rows, 0.0)


def nll_of(tallies: Sequence[Tally], weights: Float[np.ndarray, "d m"]) -> Float[np.ndarray, " d"]:
    """Read the NLL of weighted sums of `Scores`."""
    return _mean(tallies, weights, "surprise")


def brier_of(tallies: Sequence[Tally], weights: Float[np.ndarray, "d m"]) -> Float[np.ndarray, " d"]:
    """Read the Brier score of weighted sums of `Scores`."""
    return _mean(tallies, weights, "squares")


def _columns(tallies: Sequence[Tally], weights: np.ndarray) -> list[np.ndarray]:
    """Return weighted sums (d, b) of rows, correct rows and confidences by bin."""
    names = ("count", "correct", "confidence")
    return [zero_in_first(weights @ np.array([getattr(t, name) for t in tallies])) for name in names]


def ece_of(tallies: Sequence[Tally], weights: Float[np.ndarray, "d m"]) -> Float[np.ndarray, " d"]:
    """Read the ECE of weighted sums of `Reliability`."""
    count, correct, confidence = _columns(tallies, weights)
    return np.abs(correct - confidence).sum(1) / count.sum(1)


def overconfidence_of(tallies: Sequence[Tally], weights: Float[np.ndarray, "d m"]) -> Float[np.ndarray, " d"]:
    """Read confidence minus accuracy of weighted sums of `Reliability`."""
    count, correct, confidence = (column.sum(1) for column in _columns(tallies, weights))
    return (confidence - correct) / count


def ks_of(tallies: Sequence[Tally], weights: Float[np.ndarray, "d m"]) -> Float[np.ndarray, " d"]:
    """Read the KS error of weighted sums of `Ranking` of one event."""
    parts: list[Ranking] = list(tallies)  # type: ignore[arg-type]
    if not all(part.exact for part in parts):
        parts = [part.coarse() for part in parts]
    owner = np.repeat(np.arange(len(parts)), [len(part.cell) for part in parts])
    cell, gap = (np.concatenate(x) for x in ([p.cell for p in parts], [p.confidence - p.correct for p in parts]))
    order = np.argsort(cell, kind="stable")
    last = np.flatnonzero(np.r_[cell[order[1:]] != cell[order[:-1]], True])  # cells may be infinite: no differences
    running = np.cumsum(weights[:, owner[order]] * gap[order], axis=1)[:, last]
    return np.abs(running).max(1) / (weights @ np.array([part.count.sum() for part in parts]))
