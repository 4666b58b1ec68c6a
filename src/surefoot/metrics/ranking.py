"""Readings of the whole order of confidences: KS error, adaptive ECE, AUROC of correctness."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from surefoot.core.checks import check_confidences, check_labels
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored, order_of, scored
from surefoot.core.types import ArrayLike, Confidences, Labels
from surefoot.metrics.base import Tally
from surefoot.metrics.reliability import BINS, check_correct

CAPACITY = 1 << 18  # distinct confidences kept exactly
_FINE, _COARSE = 1 << 10, 1 << 6  # cells an octave: for one event, and for one a class
_OCTAVES, _DOUBLINGS = 60, 20  # octaves that are cut evenly; those beyond, by doublings of their number


@dataclass(frozen=True)
class Ranking(Tally):
    """Rows, correct rows and sum of confidences for each distinct confidence, in increasing order, event by event.

    There is one event, such as "the predicted class is right", or one a class. `cell` is a number in the order of the
    confidences (`order_of`): those that round to 1 are told apart where logits are known. Exact up to `CAPACITY`
    distinct values. Beyond, confidences share cells of relative width 1 / `per_octave` in the smaller of s and 1 - s;
    `slack` bounds what the KS error can lose by it.
    """

    exact: bool
    per_octave: int
    event: Int[np.ndarray, " c"]
    cell: Float[np.ndarray, " c"]
    count: Float[np.ndarray, " c"]
    correct: Float[np.ndarray, " c"]
    confidence: Float[np.ndarray, " c"]

    @staticmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add up with weights; what is exact stays exact while it fits."""
        parts: list[Ranking] = list(tallies)  # type: ignore[arg-type]
        exact = all(t.exact for t in parts)
        if not exact:
            parts = [t.coarse() for t in parts]
        owner = np.repeat(np.arange(len(parts)), [len(t.cell) for t in parts])
        columns = [np.concatenate([getattr(t, name) for t in parts]) for name in _COLUMNS]
        events, cells, index = _distinct(*columns[:2])
        order = np.argsort(index, kind="stable")
        owner, sorted_columns = owner[order], [column[order] for column in columns[2:]]
        starts = np.searchsorted(index[order], np.arange(len(cells)))
        results: list[Tally] = []
        for row in weights:
            sums = [column * row[owner] for column in sorted_columns]
            if len(cells) < len(owner):
                sums = [np.add.reduceat(column, starts) for column in sums]
            kept = slice(None) if sums[0].all() else sums[0] > 0
            total = Ranking(exact, parts[0].per_octave, events[kept], cells[kept], *(s[kept] for s in sums))
            results.append(total.bounded(1))
        return results

    def bounded(self, share: int) -> "Ranking":
        """Return itself, or in cells, where there are more distinct confidences than its share of the capacity."""
        return self if len(self.cell) <= CAPACITY // share else self.coarse()

    def coarse(self) -> "Ranking":
        """Return the same rows in cells of bounded number."""
        if not self.exact:
            return self
        events, cells, index = _distinct(self.event, _cell(self.cell, self.per_octave))
        sums = (np.bincount(index, weights=getattr(self, name), minlength=len(cells)) for name in _COLUMNS[2:])
        return Ranking(False, self.per_octave, events, cells, *sums)

    @property
    def slack(self) -> float:
        """Bound the difference of the KS error of this tally from that of its rows; 0 while exact."""
        if self.exact:
            return 0.0
        mean = self.confidence / self.count
        rise, fall = (self.count - self.correct) * mean, self.correct * (1 - mean)
        return float(np.maximum(rise, fall).max() / self.rows) * (1 + 2 / self.per_octave)

    @property
    def rows(self) -> float:
        """The number of rows: each is counted once in every event."""
        return float(self.count[self.event == self.event[0]].sum())

    def events(self) -> "Iterator[Ranking]":
        """Give the events one by one."""
        starts = np.flatnonzero(np.r_[True, self.event[1:] != self.event[:-1], True])
        for start, end in pairwise(starts.tolist()):
            part = slice(start, end)
            yield Ranking(self.exact, self.per_octave, *(getattr(self, name)[part] for name in _COLUMNS))


_COLUMNS = ("event", "cell", "count", "correct", "confidence")


def _distinct(event: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct pairs of event and cell in their order, and which of them each entry is."""
    if not len(event) or event.min() == event.max():
        cells, index = np.unique(cell, return_inverse=True)
        return np.full(len(cells), event[0] if len(event) else 0), cells, index
    order = np.lexsort((cell, event))
    events, cells = event[order], cell[order]
    first = np.r_[True, (events[1:] != events[:-1]) | (cells[1:] != cells[:-1])]  # cells may be infinite
    index = np.empty(len(cell), dtype=np.intp)
    index[order] = np.cumsum(first) - 1
    return event[order][first], cell[order][first], index


def _cell(order: np.ndarray, per_octave: int) -> np.ndarray:
    """Number the cells of scores, given by `order_of`, in their order: 0 for a half, more above, less below."""
    with np.errstate(divide="ignore"):
        octave = np.minimum(np.abs(order) / math.log(2), np.exp2(_DOUBLINGS) * _OCTAVES)
        further = np.floor(np.log2(np.maximum(octave / _OCTAVES, 1)) * per_octave)
    rank = np.floor(np.minimum(octave, _OCTAVES) * per_octave) + further + (order == np.inf) + (order == -np.inf)
    return np.where(order < 0, -rank, rank)


def observe_ranking(probs: ArrayLike | Scored, labels: ArrayLike) -> Ranking:
    """Tally the top-label confidences of a batch, from probabilities (n, k) and labels (n,)."""
    batch = scored(probs)
    correct = batch.top == check_labels(labels, *batch.shape)
    return _ranked(batch.confidence, batch.order, correct)


def observe_ranked_confidence(confidence: ArrayLike, correct: ArrayLike) -> Ranking:
    """Tally confidences (n,) and correct (n,) by value."""
    right = check_correct(correct)
    scores = check_confidences(confidence, len(right))
    return _ranked(scores, order_of(scores), right)


def _ranked(scores: Confidences, order: np.ndarray, correct: np.ndarray) -> Ranking:
    first = order[: 2 * CAPACITY]
    if len(first) > CAPACITY and len(np.unique(first)) > CAPACITY:
        return _in_cells(scores, order, correct)
    return _tally(scores[None, :], order[None, :], correct[None, :], _FINE)


def _in_cells(scores: Confidences, order: np.ndarray, correct: np.ndarray) -> Ranking:
    """Tally more distinct scores than are kept exactly: chunk by chunk, without sorting them."""
    most = (_OCTAVES + _DOUBLINGS) * _FINE + 1
    sums = np.zeros((3, 2 * most + 1))
    for start in range(0, len(scores), CAPACITY):
        part = slice(start, start + CAPACITY)
        cell = _cell(order[part], _FINE).astype(np.intp) + most
        columns = (None, correct[part], scores[part].astype(np.float64))
        sums += np.stack([np.bincount(cell, weights=column, minlength=2 * most + 1) for column in columns])
    kept = np.flatnonzero(sums[0])
    return Ranking(False, _FINE, np.zeros(len(kept), dtype=np.intp), kept - float(most), *sums[:, kept])


def _tally(
    scores: Float[np.ndarray, "e n"], order: Float[np.ndarray, "e n"], correct: Bool[np.ndarray, "e n"], per_octave: int
) -> Ranking:
    """Tally the scores and occurrences of each event by value; rows tie where their numbers in the order do."""
    events, n = scores.shape
    event, cells, index = _distinct(np.repeat(np.arange(events), n), order.ravel())
    columns = (None, correct.ravel().astype(np.float64), scores.ravel().astype(np.float64))
    sums = [np.bincount(index, weights=column, minlength=len(cells)).astype(np.float64) for column in columns]
    return Ranking(True, per_octave, event, cells, *sums).bounded(1)


def observe_classes(probs: ArrayLike | Scored, labels: ArrayLike) -> Ranking:
    """Tally each class's probabilities against whether it is the label: one event a class."""
    batch = scored(probs)
    target = check_labels(labels, *batch.shape)
    columns = np.minimum(batch.probs.T.astype(np.float64), 1.0)
    correct = np.arange(batch.shape[1])[:, None] == target
    return _tally(columns, batch.orders_of_classes().T, correct, _COARSE)


def observe_second(probs: ArrayLike | Scored, labels: ArrayLike) -> Ranking:
    """Tally the second largest probability of each row against whether its class is the label."""
    return observe_top(probs, labels, 2)


def observe_within_two(probs: ArrayLike | Scored, labels: ArrayLike) -> Ranking:
    """Tally the sum of the two largest probabilities of each row against whether the label is one of theirs."""
    return observe_within(probs, labels, 2)


def observe_top(probs: ArrayLike | Scored, labels: ArrayLike, r: int) -> Ranking:
    """Tally the r-th largest probability of each row, and whether its class is the label.

    Of equals, the first class is the larger one.

    Reference: Gupta et al. 2021, section 3.1.

    >>> observe_top([[0.5, 0.3, 0.2]], [1], 2).correct
    array([1.])
    """
    batch, target, classes = _largest(probs, labels, r)
    which = classes[:, -1]
    score = np.minimum(batch.probs[np.arange(len(batch)), which].astype(np.float64), 1.0)
    order = order_of(score)
    if r == 1:
        order = batch.order
    elif batch.has_logits:  # at most a half: its logarithm is its place
        order = batch.log_of(which)
    return _tally(score[None, :], order[None, :], (which == target)[None, :], _FINE)


def observe_within(probs: ArrayLike | Scored, labels: ArrayLike, r: int) -> Ranking:
    """Tally the sum of the r largest probabilities of each row, and whether the label is among their classes.

    Reference: Gupta et al. 2021, section 3.1.

    >>> observe_within([[0.5, 0.3, 0.2]], [1], 2).confidence
    array([0.8])
    """
    batch, target, classes = _largest(probs, labels, r)
    score = np.minimum(np.take_along_axis(batch.probs, classes, 1).sum(1, dtype=np.float64), 1.0)
    order = batch.order_of_sums(classes) if batch.has_logits else order_of(score)
    return _tally(score[None, :], order[None, :], (classes == target[:, None]).any(1)[None, :], _FINE)


def _largest(probs: ArrayLike | Scored, labels: ArrayLike, r: int) -> tuple[Scored, Labels, np.ndarray]:
    """Return the batch, its checked labels, and the classes of each row's r largest probabilities in falling order."""
    batch = scored(probs)
    target = check_labels(labels, *batch.shape)
    if isinstance(r, bool) or not isinstance(r, int | np.integer) or not 1 <= r <= batch.shape[1]:
        raise InputError(f"r must be a whole number from 1 to {batch.shape[1]}, the number of classes, got {r!r}")
    if r > 2:
        return batch, target, np.argsort(-batch.scores, axis=1, kind="stable")[:, :r]
    classes, rest = [batch.top], batch.scores
    if r == 2:
        rest = rest.copy()
        rest[np.arange(len(rest)), batch.top] = -np.inf
        classes.append(_second(rest, batch.top))
    return batch, target, np.stack(classes, 1)


def _second(rest: np.ndarray, top: Labels) -> Labels:
    """Return the largest class but the top one, also where all the others are absent (-inf)."""
    second = rest.argmax(1)
    return np.where(second == top, np.where(top == 0, 1, 0), second)


def read_ks(tally: Ranking) -> float:
    """Read the KS error: max_i |sum_{j<=i} (s_j - y_j)| / n over rows in the order of their confidence.

    Equal confidences count as one step, so the reading does not depend on the order of the rows. Of several events, the
    mean.
    Property: no bins; equals the expected gap where the sign of miscalibration is constant, else less.
    Reference: Gupta et al. 2021, eq. 4.

    >>> round(read_ks(observe_ranked_confidence([0.5, 0.9, 0.9], [0, 1, 0])), 6)
    0.433333
    """
    return float(np.mean([_distance(event) / event.count.sum() for event in tally.events()]))


def _distance(event: Ranking) -> float:
    return float(np.abs(np.cumsum(event.confidence - event.correct)).max())


def read_ks_pvalue(tally: Ranking) -> float:
    """Read how often a calibrated model of these confidences has a KS error at least this large.

    Under calibration n KS / sqrt(sum s (1 - s)) tends to the largest |B(t)| of a Brownian motion, 0 <= t <= 1:
    P(sup |B| > x) = 4 sum_k (-1)^k Q((2k + 1) x), with Q the normal tail. Of several events, the least, times their
    number (Bonferroni).

    Property: asymptotic; at 500 rows a nominal 5% test rejects about 4%. Over many rare classes it is liberal: 8.5% at
    2,000 rows of 100 classes (results/false_alarms.md).
    Reference: Tygert 2023; Feller 1951 for the law of the maximum.

    >>> round(read_ks_pvalue(observe_ranked_confidence([0.5] * 100, [1] * 61 + [0] * 39)), 3)
    0.056
    """
    pvalues = [_pvalue(_distance(event), math.sqrt(_variance(event))) for event in tally.events()]
    return min(1.0, min(pvalues) * len(pvalues))


def _pvalue(distance: float, spread: float) -> float:
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

    Without ties: row r of n (from 0) is in bin ceil(r bins / n), as in the reference, less its dropped first row. Where
    the tally is in cells, so are rows of one cell: it is off by at most twice the share of rows in the `bins - 1` cells
    on the edges.
    Reference: Nguyen and O'Connor 2015; Nixon et al. 2019.

    >>> round(read_adaptive_ece(observe_ranked_confidence([1.0] * 10, [1] * 8 + [0] * 2)), 6)
    0.2
    """
    n = tally.count.sum()
    middle = np.cumsum(tally.count) - (tally.count + 1) / 2
    index = np.clip(np.ceil(middle * bins / n - 1e-9).astype(np.intp) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(index, weights=tally.confidence - tally.correct, minlength=bins)).sum() / n)


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
    gap = np.bincount(index[kept], weights=(tally.confidence - tally.correct)[kept], minlength=bins + 1)
    return float(np.abs(gap).sum() / n)


def read_auroc(tally: Ranking) -> float:
    """Read the chance that a right answer is more confident than a wrong one (ties count half).

    Property: blind to any monotone recalibration of the confidences. NaN when all answers are right, or all wrong.
    Where the tally is in cells, off by at most half the share of pairs that fall into one cell: sum h_c m_c / (2 H M),
    with h_c and m_c the correct and wrong rows of a cell, H and M those of all.
    Reference: Hanley and McNeil 1982.

    >>> read_auroc(observe_ranked_confidence([0.6, 0.7, 0.8], [0, 1, 1]))
    1.0
    """
    misses = tally.count - tally.correct
    if not misses.sum() or not tally.correct.sum():
        return float("nan")
    below = np.cumsum(misses) - misses / 2
    return float(tally.correct @ below / (misses.sum() * tally.correct.sum()))


def too_few_to_rank(tally: Ranking, least: int = 10) -> str | None:
    """Say that there are too few wrong or too few right answers for an interval of AUROC; None where there are enough.

    >>> too_few_to_rank(observe_ranked_confidence([0.6, 0.7, 0.8], [0, 1, 1]))
    'too few wrong answers to tell: 1, where at least 10 are needed'
    """
    right = int(tally.correct.sum())
    for name, number in (("wrong", int(tally.count.sum()) - right), ("right", right)):
        if number < least:
            return f"too few {name} answers to tell: {number}, where at least {least} are needed"
    return None


def read_cross_validated_ece(tally: Ranking, most: int = 100) -> float:
    """Read ECE over as many bins of equal mass as predict best: the number of least leave-one-out squared error.

    Bins that are too many follow noise and bias ECE upwards, too few hide what cancels in them. A row that is left out
    of a bin with m rows of which h are correct is predicted by the other m - 1.

    Reference: Kaengsepp, Valk, Kull 2022 (fit on the test); leave-one-out in closed form is ours.

    >>> rng = np.random.default_rng(0)
    >>> s = rng.random(2000) / 2 + 0.5
    >>> read_cross_validated_ece(observe_ranked_confidence(s, rng.random(2000) < s)) < 0.03
    True
    """
    n = tally.count.sum()
    middle = np.cumsum(tally.count) - (tally.count + 1) / 2
    best, least = 1, np.inf
    for bins in range(1, max(2, min(most, int(n // 4)) + 1)):
        index = np.clip(np.ceil(middle * bins / n - 1e-9).astype(np.intp) - 1, 0, bins - 1)
        m, h = (np.bincount(index, weights=w, minlength=bins) for w in (tally.count, tally.correct))
        others = np.maximum(m - 1, 1)
        missed = (m - h) * (h / others) ** 2 + h * (1 - (h - 1) / others) ** 2
        missed = np.where(m > 1, missed, m)  # nothing left to predict from
        if missed.sum() < least - 1e-12 * n:
            best, least = bins, float(missed.sum())
    return read_adaptive_ece(tally, best)
