"""Telling models or maps apart on the same rows: paired differences, with the number of comparisons accounted for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from surefoot.core.errors import InputError
from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Probs
from surefoot.metrics import Metric
from surefoot.metrics.uncertainty import SHARDS, Rows, Sharded, bootstrap_weights

_LEAST_ROWS = 20  # below, a bootstrap's interval is far too narrow


@dataclass(frozen=True)
class Contrast:
    """How much lower or higher a metric reads for `a` than for `b` on the same rows.

    Attributes:
        difference: reading of a minus reading of b.
        low, high: its 95% interval, by a paired bootstrap over the rows.
        pvalue: of no difference, two-sided.
        adjusted: the same, made larger for the number of comparisons of this metric (Holm).
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    pvalue: float
    adjusted: float

    @property
    def better(self) -> str | None:
        """Which of the two is better, None where the data cannot tell at 5%; for metrics that are best when low."""
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
    if len(labels) < _LEAST_ROWS:
        raise InputError(f"at least {_LEAST_ROWS} rows are needed to tell tables apart, got {len(labels)}")
    if len(tables) < 2:
        raise InputError(f"at least two tables are needed to tell them apart, got {len(tables)}")
    shapes = {name: probs.shape for name, probs in tables.items()}
    first = next(iter(shapes))
    for name, shape in shapes.items():
        if shape != shapes[first]:
            raise InputError(f"{first} has shape {shapes[first]}, {name} {shape}: a comparison needs the same rows")
    found = []
    for metric in metrics:
        if metric.better != "lower":
            raise InputError(f"{metric.name!r} cannot be compared: its better way is {metric.better!r}, not 'lower'")
        values, draws = {}, {}
        shards = min(len(labels), SHARDS)
        for name, probs in tables.items():
            sharded = Sharded(metric.observe, seed)
            sharded.add(probs, labels, Rows(0, len(labels)))
            tallies = sharded.tallies
            values[name] = metric.read(metric.observe(probs, labels))
            weights = bootstrap_weights(len(tallies), seed=seed)
            draws[name] = np.array([metric.read(t) for t in tallies[0].recombine(tallies, weights)])
        pairs = [
            _pair(metric, a, b, values[a] - values[b], draws[a] - draws[b], shards - 1)
            for a, b in combinations(tables, 2)
        ]
        found += _holm(pairs)
    return found


def _pair(metric: Metric, a: str, b: str, difference: float, draws: np.ndarray, freedom: int) -> Contrast:
    error = float(draws.std(ddof=1))
    if error == 0:
        pvalue = 1.0 if difference == 0 else 0.0
    else:
        pvalue = float(2 * stats.t.sf(abs(difference) / error, freedom))
    width = float(stats.t.ppf(0.975, freedom)) * error
    return Contrast(metric.name, a, b, difference, difference - width, difference + width, pvalue, math.nan)


def _holm(pairs: Sequence[Contrast]) -> list[Contrast]:
    """Adjust p-values so that the chance of any false difference stays below 5%. Reference: Holm 1979."""
    order = sorted(range(len(pairs)), key=lambda i: pairs[i].pvalue)
    adjusted, least = [0.0] * len(pairs), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(pairs) - rank) * pairs[i].pvalue))
        adjusted[i] = least
    return [
        Contrast(p.metric, p.a, p.b, p.difference, p.low, p.high, p.pvalue, q)
        for p, q in zip(pairs, adjusted, strict=True)
    ]
