"""Accuracy, negative log-likelihood and Brier score: means over rows."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from surefoot.core.checks import check_labels
from surefoot.core.scored import Scored, scored
from surefoot.core.types import ArrayLike, Labels
from surefoot.metrics.base import Tally


@dataclass(frozen=True)
class Scores(Tally):
    """Sums over rows, in float64; the last two are mean and variance of `squares` if the probabilities are true."""

    n: float
    correct: float
    surprise: float
    squares: float
    expected: float
    variance: float

    @staticmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add up with weights."""
        return [Scores(*row) for row in (weights @ np.array([astuple(t) for t in tallies])).tolist()]  # type: ignore[call-overload]

    def bounded(self, share: int) -> "Scores":
        """Return itself: its size is fixed."""
        return self


def observe_scores(probs: ArrayLike | Scored, labels: ArrayLike) -> Scores:
    """Sum correct rows, -log p_y and squared distances over a batch, and what squared distances are under calibration.

    Of a batch with logits, -log p_y is that of the logits, however small p_y is. Of an array of probabilities, one of
    exactly 0 counts as the smallest normal number of its dtype: what the dtype could not hold, not what nobody claimed.
    -log of it is 87.3 in float32 and 708.4 in float64. A batch of a table has the table's floor instead.

    >>> tally = observe_scores([[0.5, 0.5], [0.0, 1.0]], [0, 1])
    >>> tally.n, tally.correct, tally.squares, tally.expected
    (2.0, 2.0, 0.5, 0.5)
    """
    batch = scored(probs)
    target = check_labels(labels, *batch.shape)
    second, third = batch.powers
    return Scores(
        float(len(batch)), float(np.count_nonzero(batch.top == target)), float(-batch.log_of(target).sum()),
        float(_squares(batch, target).sum()), float((1 - second).sum()),
        float(4 * np.maximum(third - second**2, 0.0).sum()),
    )  # fmt: skip


def observe_each(batch: Scored, labels: Labels) -> list[Scores]:
    """Tally each row alone: number, correct, -log p_y, squared distances; what those are expected to be is left out."""
    columns = (batch.top == labels, -batch.log_of(labels), _squares(batch, labels))
    correct, surprise, squares = (column.astype(np.float64).tolist() for column in columns)
    return [Scores(1.0, *row, 0.0, 0.0) for row in zip(correct, surprise, squares, strict=True)]


def _squares(batch: Scored, labels: Labels) -> Float[np.ndarray, " n"]:
    of_label = batch.probs[np.arange(len(batch)), labels].astype(np.float64)
    return np.maximum(batch.powers[0] - 2 * of_label + 1, 0.0)


def read_accuracy(tally: Scores) -> float:
    """Read the share of rows whose largest probability is the label's (the first, among equals)."""
    return tally.correct / tally.n


def read_nll(tally: Scores) -> float:
    """Read the mean of -log p_y, in nats. Property: proper."""
    return max(tally.surprise / tally.n, 0.0)


def read_brier(tally: Scores) -> float:
    """Read the mean of sum_k (p_k - y_k)^2, 0 to 2. Property: proper. Reference: Brier 1950."""
    return tally.squares / tally.n


def read_spiegelhalter_pvalue(tally: Scores) -> float:
    """Read how often a calibrated model's Brier score is at least this far from what its own probabilities expect.

    z = (B - E B) / sqrt(Var B), where with true probabilities E B = sum(1 - |p|^2) and
    Var B = 4 sum(sum_k p_k^3 - |p|^4); two-sided, by the normal law.

    Property: a test of the full vector's calibration, blind to errors that cancel in the Brier score. For two classes
    it is Spiegelhalter's.
    Reference: Spiegelhalter 1986, section 4; for several classes by the same steps.

    >>> round(read_spiegelhalter_pvalue(observe_scores([[0.5, 0.5], [0.9, 0.1]], [0, 1])), 4)
    0.0027
    """
    gap = tally.squares - tally.expected
    if tally.variance <= 1e-12 * tally.n:  # nothing was left to chance
        return 1.0 if abs(gap) < 1e-9 * tally.n else 0.0
    return float(2 * ndtr(-abs(gap) / np.sqrt(tally.variance)))
