"""Readings of the whole order of confidences: KS error, adaptive ECE, AUROC of correctness."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from surefoot.core.checks import check_confidences, check_labels, check_probs
from surefoot.core.types import ArrayLike
from surefoot.metrics.base import Tally
from surefoot.metrics.reliability import BINS, check_hits, top_label

CAPACITY = 1 << 18  # distinct confidences kept exactly
_CELLS_PER_OCTAVE = 1 << 10
_OCTAVES = 60


@dataclass(frozen=True)
class Ranking(Tally):
    """Rows, hits and sum of confidences for each distinct confidence, in increasing order.

    Exact up to `CAPACITY` distinct values. Beyond, confidences share cells of relative width 2^-10 in the smaller of
    s and 1 - s, so that what saturates at 1 keeps its order; `slack` bounds what the KS error can lose by it.
    """

    exact: bool
    cell: Float[np.ndarray, " c"]
    count: Float[np.ndarray, " c"]
    hits: Float[np.ndarray, " c"]
    confidence: Float[np.ndarray, " c"]

    @staticmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add up with weights; what is exact stays exact while it fits."""
        parts: list[Ranking] = list(tallies)  # type: ignore[arg-type]
        exact = all(t.exact for t in parts)
        if not exact:
            parts = [t.coarse() for t in parts]
        owner = np.repeat(np.arange(len(parts)), [len(t.cell) for t in parts])
        cells, index = np.unique(np.concatenate([t.cell for t in parts]), return_inverse=True)
        columns = [np.concatenate([getattr(t, name) for t in parts]) for name in ("count", "hits", "confidence")]
        results: list[Tally] = []
        for row in weights:
            factor = row[owner]
            sums = [np.bincount(index, weights=column * factor, minlength=len(cells)) for column in columns]
            kept = sums[0] > 0
            total = Ranking(exact, cells[kept], *(s[kept] for s in sums))
            results.append(total if not exact or len(total.cell) <= CAPACITY else total.coarse())
        return results

    def coarse(self) -> "Ranking":
        """Return the same rows in cells of bounded number."""
        if not self.exact:
            return self
        cells, index = np.unique(_cell(self.cell), return_inverse=True)
        sums = (np.bincount(index, weights=x, minlength=len(cells)) for x in (self.count, self.hits, self.confidence))
        return Ranking(False, cells, *sums)

    @property
    def slack(self) -> float:
        """Bound the difference of the KS error of this tally from that of its rows; 0 while exact."""
        if self.exact:
            return 0.0
        mean = self.confidence / self.count
        rise, fall = (self.count - self.hits) * mean, self.hits * (1 - mean)
        return float(np.maximum(rise, fall).max() / self.count.sum()) * (1 + 2 / _CELLS_PER_OCTAVE)


def _cell(scores: np.ndarray) -> np.ndarray:
    """Number the cells in the order of the scores."""
    upper = scores > 0.5
    small = np.where(upper, 1 - scores, scores)
    mantissa, exponent = np.frexp(small)
    octave = np.maximum(exponent + _OCTAVES, 0)  # 0 for all that is below 2^-60
    inner = np.where(octave > 0, np.floor((mantissa - 0.5) * 2 * _CELLS_PER_OCTAVE), 0)
    rank = octave * _CELLS_PER_OCTAVE + inner + 1
    return np.where(small == 0, 0.0, rank) * np.where(upper, -1, 1) + np.where(upper, 4.0 * _OCTAVES * 1024, 0.0)


def observe_ranking(probs: ArrayLike, labels: ArrayLike) -> Ranking:
    """Tally the top-label confidences of a batch, from probabilities (n, k) and labels (n,)."""
    table = check_probs(probs)
    confidence, hits = top_label(table, check_labels(labels, *table.shape))
    return observe_ranked_confidence(np.minimum(confidence, 1.0), hits)


def observe_ranked_confidence(confidence: ArrayLike, hits: ArrayLike) -> Ranking:
    """Tally confidences (n,) and hits (n,) by value."""
    right = check_hits(hits)
    scores = check_confidences(confidence, len(right)).astype(np.float64)
    cells, index, count = np.unique(scores, return_inverse=True, return_counts=True)
    right_in = np.bincount(index, weights=right, minlength=len(cells))
    tally = Ranking(True, cells, count.astype(np.float64), right_in, cells * count)
    return tally if len(cells) <= CAPACITY else tally.coarse()


def read_ks(tally: Ranking) -> float:
    """Read the KS error: max_i |sum_{j<=i} (s_j - y_j)| / n over rows in the order of their confidence.

    Equal confidences count as one step, so the reading does not depend on the order of the rows.
    Property: no bins; equals the expected gap where the sign of miscalibration is constant, else less.
    Reference: Gupta et al. 2021, eq. 4.

    >>> round(read_ks(observe_ranked_confidence([0.5, 0.9, 0.9], [0, 1, 0])), 6)
    0.433333
    """
    return float(np.abs(np.cumsum(tally.confidence - tally.hits)).max() / tally.count.sum())


def read_ks_pvalue(tally: Ranking) -> float:
    """Read how often a calibrated model of these confidences has a KS error at least this large.

    Under calibration n KS / sqrt(sum s (1 - s)) tends to the largest |B(t)| of a Brownian motion, 0 <= t <= 1:
    P(sup |B| > x) = 4 sum_k (-1)^k Q((2k + 1) x), with Q the normal tail.

    Property: asymptotic; at 500 rows a nominal 5% test rejects about 4%.
    Reference: Tygert 2023; Feller 1951 for the law of the maximum.

    >>> round(read_ks_pvalue(observe_ranked_confidence([0.5] * 100, [1] * 61 + [0] * 39)), 3)
    0.056
    """
    spread = math.sqrt(_variance(tally))
    distance = read_ks(tally) * tally.count.sum()
    if spread == 0:  # every confidence is 0 or 1: any miss at all is impossible under calibration
        return 1.0 if distance < 1e-9 else 0.0
    x = distance / spread
    if x < 0.15:
        return 1.0
    odd = np.arange(1, 2 * math.ceil(10 / x) + 3, 2)
    return float(np.clip(4 * (ndtr(-odd * x) * np.where(odd % 4 == 1, 1, -1)).sum(), 0, 1))


def _variance(tally: Ranking) -> float:
    mean = tally.confidence / tally.count
    return float((tally.count * mean * (1 - mean)).sum())


def read_adaptive_ece(tally: Ranking, bins: int = BINS) -> float:
    """Read ECE over bins of equal mass. Rows of equal confidence stay together, in the bin of their middle.

    Without ties: row r of n (from 0) is in bin ceil(r bins / n), as in the reference, less its dropped first row.
    Reference: Nguyen and O'Connor 2015; Nixon et al. 2019.

    >>> round(read_adaptive_ece(observe_ranked_confidence([1.0] * 10, [1] * 8 + [0] * 2)), 6)
    0.2
    """
    n = tally.count.sum()
    middle = np.cumsum(tally.count) - (tally.count + 1) / 2
    index = np.clip(np.ceil(middle * bins / n - 1e-9).astype(np.intp) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(index, weights=tally.confidence - tally.hits, minlength=bins)).sum() / n)


def read_adaptive_ece_parity(tally: Ranking, bins: int = BINS) -> float:
    """Read adaptive ECE as the focal-calibration code does: interpolated edges, bins (lower, upper].

    The smallest confidences fall out, and bins whose edges tie vanish, so it under-reports saturated models: 0 for one
    that is always sure and right 80% of the time.
    """
    scores = np.repeat(tally.confidence / tally.count, tally.count.astype(np.intp))
    n = len(scores)
    edges = np.interp(np.linspace(0, n, bins + 1), np.arange(n), scores)
    index = np.searchsorted(edges, tally.confidence / tally.count, side="left")
    kept = (index > 0) & (index <= bins)
    gap = np.bincount(index[kept], weights=(tally.confidence - tally.hits)[kept], minlength=bins + 1)
    return float(np.abs(gap).sum() / n)


def read_auroc(tally: Ranking) -> float:
    """Read the chance that a right answer is more confident than a wrong one (ties count half).

    Property: blind to any monotone recalibration of the confidences. NaN when all answers are right, or all wrong.
    Reference: Hanley and McNeil 1982.

    >>> read_auroc(observe_ranked_confidence([0.6, 0.7, 0.8], [0, 1, 1]))
    1.0
    """
    misses = tally.count - tally.hits
    if not misses.sum() or not tally.hits.sum():
        return float("nan")
    below = np.cumsum(misses) - misses / 2
    return float(tally.hits @ below / (misses.sum() * tally.hits.sum()))
