"""How far a reading can be trusted: its bootstrap interval, and the noise floor of a perfectly calibrated model.

Both are on the scale of the reading itself. The interval is where the same reading would fall on other test sets of
this size; the floor is what a calibrated model with exactly these confidences would show on one. A reading inside the
floor is no evidence of miscalibration.

Rows are dealt out to `SHARDS` random shards, each with its own tally; since tallies add, a bootstrap draw is a
weighted sum of shards. So one pass serves every metric, memory stays constant, and two models measured with the same
seed are paired row by row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from surefoot.core.checks import check_labels, check_probs
from surefoot.core.errors import InputError
from surefoot.core.types import ArrayLike, Labels, Probs
from surefoot.metrics.base import Metric, Tally

SHARDS = 100
DRAWS = 400
FLOOR_DRAWS = 50
MANY_CLASSES_FLOOR_DRAWS = 20  # each draw is dear, and its mean is steadier
LEVEL = 0.95


@dataclass(frozen=True)
class Reading:
    """A number and what it is worth; NaN where something is not defined or was not asked for.

    Attributes:
        value: the reading on all rows.
        low, high: the 95% bootstrap interval, around the value.
        floor: the mean reading of a perfectly calibrated model with the same probabilities and number of rows.
        floor_high: the 95th percentile of that.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    floor: float = float("nan")
    floor_high: float = float("nan")


class Sharded:
    """Tallies of one observation over random shards of the rows; grows batch by batch."""

    def __init__(self, observe: Callable[[Probs, Labels], Tally], seed: int = 0, shards: int = SHARDS) -> None:
        self._observe = observe
        self._rng = np.random.default_rng(seed)
        self._shards = shards
        self._tallies: dict[int, Tally] = {}
        self._seen = 0

    def add(self, probs: Probs, labels: Labels) -> None:
        """Deal the rows of a batch out to the shards."""
        shard = (self._rng.permutation(len(labels)) + self._seen) % self._shards
        self._seen += len(labels)
        order = np.argsort(shard, kind="stable")
        starts = np.searchsorted(shard[order], np.arange(self._shards + 1))
        for s in range(self._shards):
            rows = order[starts[s] : starts[s + 1]]
            if len(rows):
                tally = self._observe(probs[rows], labels[rows])
                self._tallies[s] = self._tallies[s] + tally if s in self._tallies else tally

    @property
    def tallies(self) -> list[Tally]:
        """The shards that got any rows, in order."""
        return [self._tallies[s] for s in sorted(self._tallies)]


def total(tallies: Sequence[Tally]) -> Tally:
    """Add tallies up.

    Raises:
        InputError: there is none: no row was seen.
    """
    if not tallies:
        raise InputError("nothing was measured: the table has no rows")
    return tallies[0].recombine(tallies, np.ones((1, len(tallies))))[0]


def bootstrap_weights(shards: int, draws: int = DRAWS, seed: int = 0) -> Float[np.ndarray, "d m"]:
    """Draw how often each shard occurs in each bootstrap sample."""
    return np.random.default_rng(seed).multinomial(shards, np.full(shards, 1 / shards), size=draws).astype(np.float64)


def interval(value: float, replicates: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Compute the interval of a reading from its bootstrap replicates.

    Resampling adds noise, and an error of calibration grows with noise; so the replicates are centred on the value:
    value + (quantile - mean). NaN with fewer than two shards, or where the reading is not defined.
    """
    spread = np.asarray(replicates, dtype=np.float64)
    spread = spread[np.isfinite(spread)]
    if len(spread) < 2 or not np.isfinite(value):
        return float("nan"), float("nan")
    low, high = np.quantile(spread - spread.mean(), [(1 - level) / 2, (1 + level) / 2])
    return value + min(float(low), 0.0), value + max(float(high), 0.0)


def draw_labels(probs: Probs, rng: np.random.Generator, times: int) -> Iterator[Int[np.ndarray, " n"]]:
    """Draw one label a row from the row's own distribution, `times` over: what a calibrated model would meet."""
    cumulative = np.cumsum(probs, axis=1, dtype=np.float64)
    for _ in range(times):
        u = rng.random(len(probs)) * cumulative[:, -1]
        yield np.minimum((cumulative <= u[:, None]).sum(1), probs.shape[1] - 1)


class Drawn:
    """Tallies of the same probabilities with labels drawn from them, draw by draw; grows batch by batch."""

    def __init__(self, observers: Sequence[Callable[[Probs, Labels], Tally]], seed: int = 0) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self.tallies: dict[Callable[[Probs, Labels], Tally], list[Tally]] = {observe: [] for observe in observers}

    def add(self, probs: Probs) -> None:
        """Draw labels for a batch, and tally them."""
        times = FLOOR_DRAWS if probs.shape[1] < 100 else MANY_CLASSES_FLOOR_DRAWS
        for draw, labels in enumerate(draw_labels(probs, self._rng, times)):
            for observe, seen in self.tallies.items():
                tally = observe(probs, labels)
                seen[draw : draw + 1] = [seen[draw] + tally if draw < len(seen) else tally]


def measure(
    batches: Iterable[tuple[ArrayLike, ArrayLike]],
    metrics: Iterable[Metric],
    *,
    intervals: bool = True,
    floors: bool = True,
    seed: int = 0,
) -> dict[str, Reading]:
    """Read metrics from batches of (probabilities (n, k), labels (n,)), in one pass and constant memory.

    Arguments:
        batches: the rows, in any division; all with the same k.
        metrics: what to read; metrics that share an observation share its tally.
        intervals, floors: whether to compute them (NaN if not). Floors cost `FLOOR_DRAWS` further observations, or
            `MANY_CLASSES_FLOOR_DRAWS` from 100 classes on.
        seed: of the shards, the bootstrap and the drawn labels: the same seed gives the same numbers.

    Raises:
        InputError: a row that is not a distribution, a label out of range, no rows at all.

    >>> from surefoot.metrics import METRICS
    >>> measure([([[0.8, 0.2], [0.6, 0.4]], [0, 1])], [METRICS["accuracy"]])["accuracy"].value
    0.5
    """
    metrics = list(metrics)
    observers = list(dict.fromkeys(m.observe for m in metrics))
    sharded = {observe: Sharded(observe, seed) for observe in observers}
    drawn = Drawn(observers if floors else [], seed)
    k = None
    for probs, labels in batches:
        table = check_probs(probs)
        target = check_labels(labels, *table.shape)
        if k not in (None, table.shape[1]):
            raise InputError(f"a batch has {table.shape[1]} classes, those before it had {k}")
        k = table.shape[1]
        for shard in sharded.values():
            shard.add(table, target)
        if floors:
            drawn.add(table)
    sums = {o: total(s.tallies) for o, s in sharded.items()}
    replicates = {o: _replicate(s.tallies, seed) if intervals else [] for o, s in sharded.items()}
    chance = {o: drawn.tallies.get(o, []) for o in observers}
    return {m.name: _reading(m, sums[m.observe], replicates[m.observe], chance[m.observe]) for m in metrics}


def _replicate(tallies: Sequence[Tally], seed: int) -> list[Tally]:
    if len(tallies) < 2:
        return []
    return tallies[0].recombine(tallies, bootstrap_weights(len(tallies), seed=seed))


def _reading(metric: Metric, tally: Tally, replicates: Sequence[Tally], floors: Sequence[Tally]) -> Reading:
    value = metric.read(tally)
    low, high = np.clip(interval(value, [metric.read(t) for t in replicates]), *metric.span).tolist()
    if metric.better == "none" or not floors:
        return Reading(value, low, high)
    chance = [metric.read(t) for t in floors]
    return Reading(value, low, high, float(np.mean(chance)), float(np.quantile(chance, 0.95)))
