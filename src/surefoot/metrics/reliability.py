"""Top-label calibration by equal-width bins: ECE, MCE, RMSCE, the debiased ECE and the reliability curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from surefoot.core import native
from surefoot.core.bins import bin_edges, bin_index
from surefoot.core.checks import check_bins, check_confidences, check_labels
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored, scored
from surefoot.core.types import ArrayLike, Confidences
from surefoot.metrics.base import Tally

BINS = 15
_CHUNK = 1 << 15  # rows: their indices stay in the cache


@dataclass(frozen=True)
class Reliability(Tally):
    """For each bin (lower, upper] of the confidence: rows, correct ones, sum of confidences. The first: exactly 0."""

    count: Float[np.ndarray, " b"]
    correct: Float[np.ndarray, " b"]
    confidence: Float[np.ndarray, " b"]

    @staticmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add up with weights."""
        stack = np.array([(t.count, t.correct, t.confidence) for t in tallies])  # type: ignore[attr-defined]
        return [Reliability(*sums) for sums in np.tensordot(weights, stack, 1)]

    def bounded(self, share: int) -> "Reliability":
        """Return itself: its size is fixed."""
        return self


def observe_reliability(probs: ArrayLike | Scored, labels: ArrayLike, bins: int = BINS) -> Reliability:
    """Tally top-label confidences and correct rows by bin, from probabilities (n, k) and labels (n,)."""
    batch = scored(probs)
    return observe_confidence(batch.confidence, batch.top == check_labels(labels, *batch.shape), bins)


def observe_confidence(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Reliability:
    """Tally confidences (n,) and correct (n,) by bin. Sums in float64; works in chunks, without a copy of the rows.

    Raises:
        InputError: a confidence outside [0, 1], lengths that differ, correct that is not 0 or 1.

    >>> observe_confidence([0.0, 0.5, 1.0], [0, 1, 1], bins=2).count
    array([1., 1., 1.])
    """
    bins = check_bins(bins)
    right = check_correct(correct)
    scores = check_confidences(confidence, len(right))
    count, right_count, total = _tally(scores, right, bins).T.copy()
    return Reliability(count, right_count, total)


def _tally(scores: Confidences, right: np.ndarray, bins: int) -> Float[np.ndarray, "b 3"]:
    """Count rows and correct ones, and sum scores, by bin."""
    if native.LIBRARY is not None and scores.dtype in (np.float32, np.float64):
        return native.tally(scores, right, bin_edges(bins, scores.dtype))
    cells = 2 * (bins + 1)
    count, total = np.zeros(cells), np.zeros(cells)
    for start in range(0, len(scores), _CHUNK):
        chunk = scores[start : start + _CHUNK]
        index = bin_index(chunk, bins)
        index *= 2
        index += right[start : start + _CHUNK]
        count += np.bincount(index, minlength=cells)
        total += np.bincount(index, weights=chunk, minlength=cells)
    count, total = count.reshape(-1, 2), total.reshape(-1, 2)
    return np.stack([count.sum(1), count[:, 1], total.sum(1)], 1)


def check_correct(correct: ArrayLike) -> np.ndarray:
    """Return `correct` as a boolean array (n,), or say which row is neither 0 nor 1."""
    array = np.asarray(correct)
    if array.ndim != 1:
        raise InputError(f"correct must have shape (n,), got {array.shape}")
    if array.dtype != np.bool_:
        outside = (array != 0) & (array != 1)
        if outside.any():
            row = int(np.argmax(outside))
            raise InputError(f"correct row {row} is {array[row]}; it must be 1 (correct) or 0 (wrong)")
    return array.astype(np.bool_, copy=False)


def zero_in_first(cells: np.ndarray) -> np.ndarray:
    """Merge the cell of exactly 0 into the first bin, along the last axis."""
    merged = cells[..., 1:].copy()
    merged[..., 0] += cells[..., 0]
    return merged


def _gaps(tally: Reliability) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return share, accuracy minus confidence, and rows of the bins that are not empty; exactly 0 is in the first."""
    count, correct, confidence = (zero_in_first(x) for x in (tally.count, tally.correct, tally.confidence))
    filled = count > 0
    count = count[filled]
    return count / count.sum(), (correct[filled] - confidence[filled]) / count, count


def read_ece(tally: Reliability) -> float:
    """Read the expected calibration error: sum_b n_b/n |accuracy_b - confidence_b|.

    Property: biased upwards, the more so the fewer rows: read it beside its noise floor.
    Reference: Naeini, Cooper, Hauskrecht 2015; bins open below and closed above as in Guo et al. 2017, eq. 3.

    >>> round(read_ece(observe_confidence([0.9, 0.9, 0.9, 0.6], [1, 1, 0, 1])), 6)
    0.275
    """
    share, gap, _ = _gaps(tally)
    return float(share @ np.abs(gap))


def read_mce(tally: Reliability) -> float:
    """Read the largest gap of any bin that is not empty. Reference: Naeini et al. 2015."""
    return float(np.abs(_gaps(tally)[1]).max())


def read_rmsce(tally: Reliability) -> float:
    """Read the root of sum_b n_b/n (accuracy_b - confidence_b)^2. Reference: Kumar, Liang, Ma 2019."""
    share, gap, _ = _gaps(tally)
    return float(np.sqrt(share @ gap**2))


def read_overconfidence(tally: Reliability) -> float:
    """Read mean confidence minus accuracy: above 0 the model claims more than it does, below 0 less.

    >>> round(read_overconfidence(observe_confidence([0.9, 0.9], [1, 0])), 6)
    0.4
    """
    return float((tally.confidence.sum() - tally.correct.sum()) / tally.count.sum())


def read_debiased_ece(tally: Reliability) -> float:
    """Read ECE less the part that chance alone adds.

    In a bin the observed gap is about normal around the true one, with variance accuracy (1 - accuracy) / n_b. The
    excess E|N(gap, s^2)| - |gap| estimates the bias of |gap| and is subtracted; at least 0.

    Reference: Kumar, Liang, Ma 2019, section 5 (by simulation there; the folded normal's closed form here).
    """
    share, gap, count = _gaps(tally)
    accuracy = np.clip(gap + _mean_confidence(tally), 0, 1)
    spread = np.sqrt(accuracy * (1 - accuracy) / np.maximum(count - 1, 1))
    size = np.abs(gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 0, size / spread, np.inf)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + size * (1 - 2 * ndtr(-ratio))
    return max(float(share @ (2 * size - folded)), 0.0)


def _mean_confidence(tally: Reliability) -> np.ndarray:
    count, confidence = zero_in_first(tally.count), zero_in_first(tally.confidence)
    return confidence[count > 0] / count[count > 0]
