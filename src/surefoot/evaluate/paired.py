"""Paired tests of models or calibrators on the same rows, corrected for the number of comparisons."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from surefoot.core.distributions import pearson3_cdf, skewness_of, t_cdf
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored, scored
from surefoot.core.types import Labels, Probs
from surefoot.metrics import Metric
from surefoot.metrics.base import Tally
from surefoot.metrics.intervals import DRAWS, MOST_SAMPLE, UNDERFLOW, Replicates, Sample, interval, read_sums
from surefoot.metrics.proper import observe_each
from surefoot.metrics.uncertainty import RowRange, Sharded, total, uniforms

_LEAST_ROWS = 20  # below, a bootstrap's interval is far too narrow
_ROUNDING = 1e-6  # relative difference of two readings that storing one table in another format can make (float32, CSV)
MEAN_DRAWS = 4000  # of the mean of a score, where a draw is cheap


@dataclass(frozen=True)
class Contrast:
    """How much lower or higher a metric reads for `a` than for `b` on the same rows.

    Attributes:
        difference: reading of a minus reading of b.
        low, high: its 95% interval, by a paired bootstrap over the rows and one row more.
        pvalue: of no difference, two-sided; 1 where the readings differ by no more than storing can change.
        adjusted: the same, made larger for the number of comparisons of this metric (Holm).
        note: why there is neither interval nor p-value (NaN); None where there are.
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    pvalue: float
    adjusted: float
    note: str | None = None

    @property
    def better(self) -> str | None:
        """Which of the two is better, None where neither is at the 5% level; for metrics that are best when low."""
        if not self.adjusted < 0.05:
            return None
        return self.a if self.difference < 0 else self.b


def contrast(
    tables: Mapping[str, Probs | Scored], labels: Labels, metrics: Sequence[Metric], seed: int = 0
) -> list[Contrast]:
    """Compare every pair of tables of probabilities (n, k) of the same rows by every metric.

    Rows are dealt to the same shards for all tables, so that what makes a row hard drops out of the differences.

    Raises:
        InputError: fewer than 20 rows or two tables, tables of different shapes, a metric that is not best when low.
    """
    _check(tables, labels, metrics)
    batches = {name: scored(probs) for name, probs in tables.items()}
    extra = {(a, b): _extra_rows(batches[a], batches[b], labels, seed) for a, b in combinations(tables, 2)}
    contrasts = []
    for metric in metrics:
        pairs = []
        shards = {name: _shards(metric, batch, labels, seed) for name, batch in batches.items()}
        for (a, b), more in extra.items():
            reason = None if more is not None else "no row has another class that could be its label"
            readings = metric.read(total(shards[a])), metric.read(total(shards[b]))
            difference = readings[0] - readings[1]
            if metric.interval == "none":
                reason = "this reading has no interval"
            if not math.isfinite(difference):
                reason = "a reading is not defined on these rows"
            if _same(batches[a], batches[b]):
                pairs.append(Contrast(metric.name, a, b, 0.0, 0.0, 0.0, 1.0, math.nan))
            elif more is None or reason is not None:
                nan = math.nan
                pairs.append(Contrast(metric.name, a, b, difference, nan, nan, nan, nan, reason))
            else:
                pair = _pair(metric, (a, b), (shards[a], shards[b]), difference, more, seed)
                alike = abs(difference) <= _ROUNDING * max(map(abs, readings))
                pairs.append(_no_difference(pair) if alike else pair)
        contrasts += _holm(pairs)
    return contrasts


def _check(tables: Mapping[str, Probs | Scored], labels: Labels, metrics: Sequence[Metric]) -> None:
    if len(labels) < _LEAST_ROWS:
        raise InputError(f"at least {_LEAST_ROWS} rows are needed to tell tables apart, got {len(labels)}")
    if len(tables) < 2:
        raise InputError(f"at least two tables are needed to compare them, got {len(tables)}")
    shapes = {name: probs.shape for name, probs in tables.items()}
    first = next(iter(shapes))
    for name, shape in shapes.items():
        if shape != shapes[first]:
            raise InputError(f"{first} has shape {shapes[first]}, {name} {shape}: a comparison needs the same rows")
    for metric in metrics:
        if metric.better != "lower":
            raise InputError(f"{metric.name!r} cannot be compared: its better way is {metric.better!r}, not 'lower'")


@dataclass(frozen=True)
class _Extra:
    """Rows that were not seen: some of both tables, each with several labels: the answers of either, right and wrong.

    Attributes:
        a, b: the rows (m).
        labels: one array (m,) for each kind of answer.
    """

    a: Scored
    b: Scored
    labels: list[Labels]


def _extra_rows(a: Scored, b: Scored, labels: Labels, seed: int) -> _Extra | None:
    """Choose rows, and what their labels could be besides; None where nothing else is possible in both tables."""
    priority, chance = (uniforms([seed, s], 0, len(labels)) for s in (2, 3))
    samples = [Sample.of(batch, labels, priority, chance) for batch in (a, b)]
    last = np.maximum(samples[0].priority, samples[1].priority)
    nearest = np.argsort(last, kind="stable")[:MOST_SAMPLE]
    drawn = [Sample(last[nearest], s.rows[nearest], chance[nearest], s.most_surprise) for s in samples]
    wrong = [dict(zip(*(x.tolist() for x in sample.wrong()), strict=True)) for sample in drawn]
    both = np.array(sorted(wrong[0].keys() & wrong[1].keys()), dtype=np.intp)
    kinds = [np.array([each[i] for i in both.tolist()], dtype=np.intp) for each in wrong]
    kept = np.ones(len(both), dtype=bool)
    rows = [sample.rows[both] for sample in drawn]
    for sample, batch in zip(samples, rows, strict=True):
        if batch.has_logits:
            for kind in kinds:
                kept &= -batch.log_of(kind) <= max(UNDERFLOW, sample.most_surprise)
    if not kept.any():
        return None
    left, right = (batch[kept] for batch in rows)
    answers = [*(kind[kept] for kind in kinds), left.top, right.top]
    return _Extra(left, right, list({kind.tobytes(): kind for kind in answers}.values()))


def _shards(metric: Metric, batch: Scored, labels: Labels, seed: int) -> list[Tally]:
    sharded = Sharded(metric.observe, seed)
    sharded.add(batch, labels, RowRange(0, len(labels)))
    return sharded.tallies


def _pair(
    metric: Metric, names: tuple[str, str], shards: tuple[list[Tally], list[Tally]], difference: float, more: _Extra,
    seed: int,
) -> Contrast:  # fmt: skip
    """Compare two tables: the difference with random weights and, as in `metrics.intervals`, one row more.

    For the mean of a score the row more is the one, and the label, that speaks most for either table; for other
    readings it is an average row, with each kind of answer, and the interval is as wide on both sides: which of two
    models that are as good has the larger error of calibration is a coin's throw, but draws around the larger one do
    not show it, least of all where errors are rare.
    """
    mean = metric.interval == "mean"
    count = len(shards[0])
    kinds = _extremes(metric, more) if mean else [(more.a, more.b, labels) for labels in more.labels]
    rng = np.random.default_rng(seed)
    draws = MEAN_DRAWS if mean else DRAWS
    weights = np.hstack([rng.exponential(size=(draws, count)), rng.exponential(size=(draws, 1))])
    plain = weights * np.r_[np.ones(count), 0]
    families, shift = [], 0.0
    for a, b, labels in kinds:
        rows = weights / np.r_[np.ones(count), len(labels)]
        both = rows if mean or families else np.concatenate([rows, plain])
        sums = [
            read_sums([metric], [*tallies, metric.observe(batch, labels)], both)[:, 0]
            for tallies, batch in zip(shards, (a, b), strict=True)
        ]
        families.append(sums[0][:draws] - sums[1][:draws])
        if len(both) > draws:
            shift = float((sums[0][draws:] - sums[1][draws:]).mean()) - difference
    ends = [interval(difference, Replicates(family, family, shift, count)) for family in families]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if not mean:
        half = max(difference - low, high - difference)
        low, high = difference - half, difference + half
    pvalue = max(_pvalue(family - shift, count) for family in families)
    if low <= 0 <= high:  # the two must not contradict each other
        pvalue = max(pvalue, 0.05)
    return Contrast(metric.name, *names, difference, low, high, pvalue, math.nan)


def _no_difference(pair: Contrast) -> Contrast:
    """Say of a pair whose readings differ by less than stored numbers are rounded that they do not differ."""
    return replace(pair, low=min(pair.low, 0.0), high=max(pair.high, 0.0), pvalue=1.0)


def _extremes(metric: Metric, more: _Extra) -> list[tuple[Scored, Scored, Labels]]:
    """Return the row and label with the least difference of scores, and those with the greatest."""
    values = [
        [[metric.read(tally) for tally in observe_each(batch, labels)] for labels in more.labels]
        for batch in (more.a, more.b)
    ]
    differences = np.subtract(*np.array(values))
    extremes = []
    for which in (differences.argmin(), differences.argmax()):
        kind, i = np.unravel_index(which, differences.shape)
        row = np.array([i])
        extremes.append((more.a[row], more.b[row], more.labels[kind][row]))
    return extremes


def _pvalue(draws: np.ndarray, shards: int) -> float:
    """Compute the two-sided p-value of no difference from draws around the difference.

    The larger of that by Student's t, and that by the law of Pearson's third type of the same mean, width and skewness:
    the law of a sum of few errors.
    """
    mean, width = float(draws.mean()), float(draws.std(ddof=1))
    if width <= 1e-12 * abs(mean):  # every draw is the same
        return 0.0 if mean else 1.0
    side = abs(mean) / width * math.sqrt((shards - 1) / shards)
    skewness = skewness_of(draws) * (1 if mean > 0 else -1)
    by_t = t_cdf(-side, shards - 1)
    return min(1.0, 2 * max(by_t, pearson3_cdf(-side, skewness)))


def _same(a: Scored, b: Scored) -> bool:
    return np.array_equal(a.probs, b.probs) and np.array_equal(a.scores, b.scores)


def _holm(pairs: Sequence[Contrast]) -> list[Contrast]:
    """Adjust p-values so that the chance of any false difference stays below 5%. Reference: Holm 1979."""
    order = sorted((i for i in range(len(pairs)) if pairs[i].note is None), key=lambda i: pairs[i].pvalue)
    adjusted, least = [math.nan] * len(pairs), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(pairs) - rank) * pairs[i].pvalue))
        adjusted[i] = least
    return [replace(pair, adjusted=value) for pair, value in zip(pairs, adjusted, strict=True)]
