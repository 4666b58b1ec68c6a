"""How far a reading can be trusted: its confidence interval, and the noise floor of a perfectly calibrated model.

Both are on the scale of the reading itself. The interval is one for the mean of the same reading over fresh test sets
of this size; the floor is what a calibrated model with exactly these confidences would show on one. A reading inside
the floor is no evidence of miscalibration.

Rows are dealt out to `SHARDS` random shards, each with its own tally; since tallies add, a bootstrap draw is a
weighted sum of shards. So one pass serves every metric, memory stays constant, and two models measured with the same
seed are paired row by row. Everything random comes from streams that are indexed by the row's number: shards of files
measured on many machines give the same numbers as one pass. How an interval comes of them: `intervals`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from surefoot.core.checks import check_labels
from surefoot.core.distributions import t_cdf
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored, scored
from surefoot.core.types import ArrayLike, Labels, Probs
from surefoot.metrics.base import Metric, Tally
from surefoot.metrics.intervals import LEAST_ROWS, Replicates, Sample, clopper_pearson, interval, replicate

SHARDS = 100
DRAWS = 400
# The 95th percentile of the floor is an order statistic: of m draws and the reading of a calibrated model, each is as
# likely to be the greatest, so the reading is beyond the last but one of 39, or the last of 19, once in 20 times.
FLOOR_DRAWS, FLOOR_RANK = 39, 38
MANY_CLASSES = 100  # from here on each draw is dear
MANY_CLASSES_FLOOR_DRAWS, MANY_CLASSES_FLOOR_RANK = 19, 19


@dataclass(frozen=True)
class Reading:
    """A number and what it is worth; NaN where something is not defined or was not asked for.

    Attributes:
        value: the reading on all rows.
        low, high: the 95% confidence interval, around the value, of its mean over fresh test sets of this size.
        floor: the mean reading of a perfectly calibrated model with the same probabilities and number of rows.
        floor_high: the 95th percentile of that: 5% of the readings of such a model lie above it, or fewer.
        note: why there is no interval; None where there is one, or none was asked for.
        pvalue: how often such a model reads as much, by chance; NaN for readings that are not best when low. At most
            0.05 where, and only where, the reading is above `floor_high`.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    floor: float = math.nan
    floor_high: float = math.nan
    note: str | None = None
    pvalue: float = math.nan


def uniforms(seed: Sequence[int], start: int, n: int) -> Float[np.ndarray, " n"]:
    """Compute numbers start to start + n of a stream of uniform ones: any part of it, without what comes before.

    >>> bool((uniforms([0], 3, 5) == uniforms([0], 0, 8)[3:]).all())
    True
    """
    stream = np.random.Philox(np.random.SeedSequence(seed))
    skipped, before = divmod(start, 4)  # Philox makes four numbers at a time
    stream.advance(skipped)
    return np.random.Generator(stream).random(before + n)[before:]


def shard_of(seed: int, start: int, n: int, shards: int = SHARDS) -> Int[np.ndarray, " n"]:
    """Assign rows start to start + n to shards: every block of `shards` rows once to each, in random order."""
    first, last = start // shards, -(-(start + n) // shards)
    u = uniforms([seed, 0], first * shards, (last - first) * shards).reshape(-1, shards)
    return u.argsort(1).ravel()[start - first * shards :][:n]


@dataclass(frozen=True)
class RowRange:
    """Which rows of a table a batch is: `n` from number `start` on, or those of them that are `kept`."""

    start: int
    n: int
    kept: Bool[np.ndarray, " n"] | None = None

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return those of n values that belong to the rows."""
        return values if self.kept is None else values[self.kept]


class Sharded:
    """Tallies of one observation over random shards of the rows; grows batch by batch.

    A row's shard depends on the seed and on its number alone, not on how the rows came.
    """

    def __init__(self, observe: Callable[[Probs | Scored, Labels], Tally], seed: int = 0, shards: int = SHARDS) -> None:
        self._observe = observe
        self._seed = seed
        self._shards = shards
        self._tallies: dict[int, Tally] = {}

    def add(self, probs: Probs | Scored, labels: Labels, rows: RowRange) -> None:
        """Deal a batch out to the shards."""
        if self._shards == 1:
            self._put(0, self._observe(probs, labels))
            return
        shard = rows.of(shard_of(self._seed, rows.start, rows.n, self._shards))
        order = np.argsort(shard, kind="stable")
        starts = np.searchsorted(shard[order], np.arange(self._shards + 1))
        for s in range(self._shards):
            members = order[starts[s] : starts[s + 1]]
            if len(members):
                self._put(s, self._observe(probs[members], labels[members]))

    def merge(self, other: "Sharded") -> None:
        """Add what another one has seen of other rows."""
        for s, tally in other._tallies.items():
            self._put(s, tally)

    def _put(self, s: int, tally: Tally) -> None:
        tally = self._tallies[s] + tally if s in self._tallies else tally
        self._tallies[s] = tally.bounded(self._shards)

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


def draw_labels(probs: Probs, seed: int, times: int, rows: RowRange | None = None) -> Iterator[Int[np.ndarray, " n"]]:
    """Draw one label a row from the row's own distribution, `times` over: what a calibrated model would meet.

    What is drawn for a row depends on the seed and on its number alone.
    """
    rows = rows or RowRange(0, len(probs))
    cumulative = np.cumsum(probs, axis=1, dtype=np.float64)
    for draw in range(times):
        u = rows.of(uniforms([seed, 1, draw], rows.start, rows.n)) * cumulative[:, -1]
        yield np.minimum((cumulative <= u[:, None]).sum(1), probs.shape[1] - 1)


class Drawn:
    """Tallies of the same probabilities with labels drawn from them, draw by draw; grows batch by batch."""

    def __init__(self, observers: Sequence[Callable[[Probs | Scored, Labels], Tally]], seed: int = 0) -> None:
        self._seed = seed
        self.tallies: dict[Callable[[Probs | Scored, Labels], Tally], list[Tally]] = {
            observe: [] for observe in observers
        }

    def add(self, batch: Scored, rows: RowRange) -> None:
        """Draw labels for a batch, and tally them."""
        times = FLOOR_DRAWS if batch.shape[1] < MANY_CLASSES else MANY_CLASSES_FLOOR_DRAWS
        for draw, labels in enumerate(draw_labels(batch.probs, self._seed, times, rows)):
            for observe, seen in self.tallies.items():
                self._put(seen, draw, observe(batch, labels))

    def merge(self, other: "Drawn") -> None:
        """Add what another one has drawn for other rows."""
        for observe, seen in self.tallies.items():
            for draw, tally in enumerate(other.tallies[observe]):
                self._put(seen, draw, tally)

    @staticmethod
    def _put(seen: list[Tally], draw: int, tally: Tally) -> None:
        if draw < len(seen):
            tally = seen[draw] + tally
        seen[draw : draw + 1] = [tally.bounded(FLOOR_DRAWS)]


class Measuring:
    """What `measure` keeps of the rows: grows batch by batch, and merges with that of other rows, in any order.

    The numbers do not depend on how rows are divided into batches and states, as long as each batch says which rows it
    is.
    """

    def __init__(
        self, metrics: Iterable[Metric], *, intervals: bool = True, floors: bool = True, seed: int = 0
    ) -> None:
        self._metrics = list(metrics)
        self._intervals, self._seed = intervals, seed
        observers = list(dict.fromkeys(m.observe for m in self._metrics))
        shards = SHARDS if intervals else 1
        self._sharded = {observe: Sharded(observe, seed, shards) for observe in observers}
        self._drawn = Drawn(observers if floors else [], seed)
        self._sample: Sample | None = None
        self.n, self.k = 0, 0

    def add(self, probs: ArrayLike | Scored, labels: ArrayLike, rows: RowRange | None = None) -> None:
        """Tally a batch of probabilities (n, k) and labels (n,), which are `rows` of the table, or the next ones.

        Raises:
            InputError: a row that is not a distribution, a label out of range, another number of classes than before.
        """
        table = scored(probs)
        target = check_labels(labels, *table.shape)
        self._check_classes(table.shape[1])
        rows = rows or RowRange(self.n, len(table))
        for shard in self._sharded.values():
            shard.add(table, target, rows)
        if self._drawn.tallies:
            self._drawn.add(table, rows)
        if self._intervals:
            priority, chance = (rows.of(uniforms([self._seed, s], rows.start, rows.n)) for s in (2, 3))
            self._take(Sample.of(table, target, priority, chance).bounded())
        self.n += len(table)

    def merge(self, other: "Measuring") -> None:
        """Add the state of other rows."""
        if other.n:
            self._check_classes(other.k)
            for observe, shard in self._sharded.items():
                shard.merge(other._sharded[observe])
            self._drawn.merge(other._drawn)
            if other._sample is not None:
                self._take(other._sample)
            self.n += other.n

    def _take(self, sample: Sample) -> None:
        self._sample = sample if self._sample is None else self._sample + sample

    def _check_classes(self, k: int) -> None:
        if self.n and k != self.k:
            raise InputError(f"a batch has {k} classes, those before it had {self.k}")
        self.k = k

    def readings(self) -> dict[str, Reading]:
        """Read all metrics.

        Raises:
            InputError: no row was seen.
        """
        sums = {o: total(s.tallies) for o, s in self._sharded.items()}
        drawn: dict[str, Replicates] = {}
        if self._sample is not None and self.n >= LEAST_ROWS:
            for observe, shard in self._sharded.items():
                metrics = [m for m in self._metrics if m.observe == observe and m.interval in ("mean", "bootstrap")]
                extra = self._sample.extra_rows(observe) if metrics else None
                if extra is not None:
                    drawn |= replicate(metrics, sums[observe], shard.tallies, extra, self._seed)
        return {m.name: self._reading(m, sums[m.observe], drawn.get(m.name)) for m in self._metrics}

    def _reading(self, metric: Metric, tally: Tally, drawn: Replicates | None) -> Reading:
        value = metric.read(tally)
        low, high, note = self._interval(metric, tally, value, drawn)
        floors = self._drawn.tallies.get(metric.observe)
        if metric.better == "none" or not floors:
            return Reading(value, low, high, note=note)
        chance = np.sort([metric.read(t) for t in floors])
        rank = FLOOR_RANK if self.k < MANY_CLASSES else MANY_CLASSES_FLOOR_RANK
        beyond = float(chance[rank - 1])
        if math.isclose(value, beyond, rel_tol=1e-9, abs_tol=1e-12):  # the same sum, added up in another order
            beyond = value
        floor = float(chance.mean())  # NaN where a draw has no reading
        if math.isnan(floor):
            return Reading(value, low, high, floor, math.nan, note)
        pvalue = _pvalue(value, chance) if metric.better == "lower" else math.nan
        return Reading(value, low, high, floor, beyond, note, pvalue)

    def _interval(
        self, metric: Metric, tally: Tally, value: float, drawn: Replicates | None
    ) -> tuple[float, float, str | None]:
        """Return the ends of the interval; where there is none, NaN and why."""
        note = None
        if metric.interval == "none":
            note = "this reading has no interval"
        elif not np.isfinite(value):
            note = "the reading is not defined on these rows"
        elif metric.interval != "share" and self.n < LEAST_ROWS:
            note = f"too few rows to tell: {self.n}, where at least {LEAST_ROWS} are needed"
        elif metric.untold is not None:
            note = metric.untold(tally)
        if note is None and metric.interval != "share" and drawn is None:
            note = "no row has another class that could be its label"
        if note is not None or not self._intervals:
            return math.nan, math.nan, note if self._intervals else None
        if metric.interval == "share" or drawn is None:
            low, high = clopper_pearson(np.array(round(value * self.n)), np.array(self.n))
        else:
            low, high = np.clip(interval(value, drawn), *metric.span)
        return float(low), float(high), None


def _pvalue(value: float, chance: np.ndarray) -> float:
    """Compute how often a calibrated model reads at least `value`, given drawn readings of such a model.

    By rank among m draws. Above all of them that is 1 / (m + 1), and Student's t of one draw more may say less: on
    square roots, for readings of chance have a long upper tail.
    """
    draws = len(chance)
    as_much = int((chance >= value - max(1e-9 * abs(value), 1e-12)).sum())  # equal sums, added up in another order
    by_rank = (1 + as_much) / (1 + draws)
    if as_much:
        return by_rank
    roots = np.sqrt(np.maximum(chance, 0))
    width = float(roots.std(ddof=1)) * math.sqrt(1 + 1 / draws)
    far = (math.sqrt(max(value, 0.0)) - float(roots.mean())) / width if width > 0 else math.inf
    return min(by_rank, t_cdf(-far, draws - 1))


def measure(
    batches: Iterable[tuple[ArrayLike | Scored, ArrayLike]],
    metrics: Iterable[Metric],
    *,
    intervals: bool = True,
    floors: bool = True,
    seed: int = 0,
) -> dict[str, Reading]:
    """Read metrics from batches of (probabilities (n, k), labels (n,)), in one pass and constant memory.

    Arguments:
        batches: the rows, in any division; all with the same k. `Scored.of_logits` keeps what float64 loses of very
            small and very large probabilities.
        metrics: what to read; metrics that share an observation share its tally.
        intervals: whether to compute them (NaN if not).
        floors: likewise. They cost `FLOOR_DRAWS` further observations, or `MANY_CLASSES_FLOOR_DRAWS` from
            `MANY_CLASSES` classes on.
        seed: of the shards, the bootstrap and the drawn labels: the same seed gives the same numbers.

    Raises:
        InputError: a row that is not a distribution, a label out of range, no rows at all.

    >>> from surefoot.metrics import METRICS
    >>> measure([([[0.8, 0.2], [0.6, 0.4]], [0, 1])], [METRICS["accuracy"]])["accuracy"].value
    0.5
    """
    state = Measuring(metrics, intervals=intervals, floors=floors, seed=seed)
    for probs, labels in batches:
        state.add(probs, labels)
    return state.readings()
