"""Accuracy, negative log-likelihood and Brier score: means over rows."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Float

from surefoot.core.checks import check_labels, check_probs
from surefoot.core.types import ArrayLike
from surefoot.metrics.base import Tally


@dataclass(frozen=True)
class Scores(Tally):
    """Sums over rows, in float64."""

    n: float
    hits: float
    surprise: float
    squares: float

    @staticmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add up with weights."""
        return [Scores(*row) for row in (weights @ np.array([astuple(t) for t in tallies])).tolist()]  # type: ignore[call-overload]


def observe_scores(probs: ArrayLike, labels: ArrayLike) -> Scores:
    """Sum hits, -log p_y and squared distances over a batch.

    A probability of exactly 0 counts as the smallest normal number of the array's own dtype: what the dtype could not
    hold, not what nobody claimed. -log of it is 87.3 in float32 and 708.4 in float64.

    >>> observe_scores([[0.5, 0.5], [0.0, 1.0]], [0, 1])
    Scores(n=2.0, hits=2.0, surprise=0.6931471805599453, squares=0.5)
    """
    table = check_probs(probs)
    target = check_labels(labels, *table.shape)
    rows = np.arange(len(table))
    own = table[rows, target].astype(np.float64)
    surprise = -np.log(np.maximum(own, np.finfo(table.dtype).smallest_normal)).sum()
    squares = np.einsum("nk,nk->n", table, table, dtype=np.float64) - 2 * own + 1
    hits = np.count_nonzero(table.argmax(1) == target)
    return Scores(float(len(table)), float(hits), float(surprise), float(np.maximum(squares, 0.0).sum()))


def read_accuracy(tally: Scores) -> float:
    """Read the share of rows whose largest probability is the label's (the first, among equals)."""
    return tally.hits / tally.n


def read_nll(tally: Scores) -> float:
    """Read the mean of -log p_y, in nats. Property: proper."""
    return max(tally.surprise / tally.n, 0.0)


def read_brier(tally: Scores) -> float:
    """Read the mean of sum_k (p_k - y_k)^2, 0 to 2. Property: proper. Reference: Brier 1950."""
    return tally.squares / tally.n
