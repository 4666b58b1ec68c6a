"""Confidence intervals of readings that still hold where errors are rare: a bootstrap with one row more.

A bootstrap of rows that are all answered rightly never meets an error, and its interval is a single point. Clopper and
Pearson's exact interval of a share of n rows can be seen as a Bayesian bootstrap, in which each row has an exponential
weight, of n + 1 rows: one failure more gives its lower end, one success more its upper end. Gaffke's interval is the
same for the mean of any bounded score, with the worst and the best score that a row can have. Here the row more is one
of the table's own, once with a wrong answer and once with the right one, so that it goes for any reading of a tally.

Property: not exact but for shares; results/coverage.md has how often each interval holds its target, which is the mean
of the reading over fresh test sets of the same size.

Reference: Gaffke 2005; Phan, Thomas, Learned-Miller 2021, *Towards practical mean bounds for small samples*, section 2;
Rubin 1981 for the weights; Hesterberg 2015, section 3.3, for the factor that widens the interval of few rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from surefoot.core.distributions import beta_quantile, beta_upper_quantile, normal_quantile, t_quantile
from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Probs
from surefoot.metrics.base import Metric, Tally

LEVEL = 0.95
DRAWS = 200  # with each kind of the row more
LEAST_ROWS = 10  # below, intervals were not seen to cover
MOST_SAMPLE = 256  # rows of the table from which the row more is taken,
_SAMPLE_VALUES = 1 << 20  # of so many probabilities in all,
_LEAST_SAMPLE = 16  # but at least so many rows
UNDERFLOW = 745.0  # exp of less than minus this is 0 in float64
_BATCH_DRAWS = 200  # bounds memory where a tally keeps many distinct confidences


def clopper_pearson(
    correct: np.ndarray, count: np.ndarray, level: float = LEVEL
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the ends of the exact interval of a probability, for successes in count trials each.

    Property: covers at least the level, whatever the chance. Reference: Clopper and Pearson 1934.

    >>> low, high = clopper_pearson(np.array(50), np.array(50))
    >>> round(float(low), 3), float(high)
    (0.929, 1.0)
    """
    tail = (1 - level) / 2
    low = np.where(correct > 0, beta_quantile(tail, np.maximum(correct, 1), count - correct + 1), 0.0)
    return low, np.where(correct < count, beta_upper_quantile(tail, correct + 1, np.maximum(count - correct, 1)), 1.0)


@dataclass(frozen=True)
class Sample:
    """Rows of a table, chosen by random priority: the least stay. Samples add.

    Rows where only one class has a probability above 0 come last: most of them cannot be answered wrongly.

    Attributes:
        priority: one uniform random number a row, above 1 where the row comes last.
        rows: the rows.
        chance: one uniform random number a row, which decides what a wrong answer would have been.
        most_surprise: the largest finite -log p_y of all rows, also of those that are left out.
    """

    priority: Float[np.ndarray, " n"]
    rows: Scored
    chance: Float[np.ndarray, " n"]
    most_surprise: float

    @classmethod
    def of(cls, rows: Scored, labels: Labels, priority: np.ndarray, chance: np.ndarray) -> "Sample":
        """Take rows with their labels and random numbers."""
        surprise = -rows.log_of(labels)
        last = rows.probs[np.arange(len(rows)), rows.top] >= 1
        last[last] = (rows.probs[last] > 0).sum(1) == 1
        return cls(priority + last, rows, chance, float(surprise.max(initial=0.0, where=np.isfinite(surprise))))

    def __add__(self, other: "Sample") -> "Sample":
        """Return the sample of both lots of rows."""
        priority, chance = (
            np.concatenate(pair) for pair in ((self.priority, other.priority), (self.chance, other.chance))
        )
        most = max(self.most_surprise, other.most_surprise)
        return Sample(priority, Scored.joined([self.rows, other.rows]), chance, most).bounded()

    def bounded(self) -> "Sample":
        """Return the rows of least priority, in its order; it shares no memory with the batch."""
        room = max(_LEAST_SAMPLE, min(MOST_SAMPLE, _SAMPLE_VALUES // self.rows.shape[1]))
        kept = np.arange(len(self.priority))
        if len(kept) > room:
            kept = np.argpartition(self.priority, room)[:room]
        kept = kept[np.argsort(self.priority[kept], kind="stable")]
        sample = Scored.joined([self.rows[kept]])  # rows of a batch would keep the logits of all of it
        return Sample(self.priority[kept], sample, self.chance[kept], self.most_surprise)

    def wrong(self) -> tuple[Int[np.ndarray, " r"], Labels]:
        """Draw labels that are not the predicted ones, from the rows' own probabilities of the others.

        Logits so low that the probability is 0 in float64 stand for a class that is absent, which is no answer, unless
        some label was as surprising. Rows with no other class are left out. A stored probability of 0 is one too small
        to be written: where all others are 0, any is as likely.

        Returns: which rows, and their labels.
        """
        at, predicted = np.arange(len(self.rows)), self.rows.top
        others = self.rows.scores.astype(np.float64)
        if self.rows.has_logits:  # relative to the largest of the others, which may be too small for a probability
            lowest = others[at, predicted] - max(UNDERFLOW, self.most_surprise)
            others[others < lowest[:, None]] = -np.inf
            others[at, predicted] = -np.inf
            peak = others.max(1, keepdims=True)
            others = np.exp(others - np.where(np.isfinite(peak), peak, 0.0))
            at = np.flatnonzero(others.any(1))
            others = others[at]
        else:
            others[at, predicted] = 0.0
            certain = ~others.any(1)
            others[certain] = 1.0
            others[at, predicted] = 0.0
        cumulative = np.cumsum(others, axis=1)
        label = (cumulative <= (self.chance[at] * cumulative[:, -1])[:, None]).sum(1)
        return at, np.minimum(label, others.shape[1] - 1)

    def extra_rows(self, observe: Callable[[Probs | Scored, Labels], Tally]) -> "ExtraRows | None":
        """Tally the rows answered wrongly, rightly, and the one whose wrong answer is the least probable.

        None where no row can be answered wrongly.
        """
        at, wrong = self.wrong()
        if not len(at):
            return None
        rows = self.rows[at]
        worst = np.lexsort((-rows.powers[0], rows.log_of(wrong)))[:1]
        return ExtraRows(len(wrong), observe(rows, wrong), observe(rows, rows.top), observe(rows[worst], wrong[worst]))


@dataclass(frozen=True)
class ExtraRows:
    """Tallies of rows that were not seen: `n` answered wrongly, the same rightly, and the worst of the wrong ones."""

    n: int
    wrong: Tally
    right: Tally
    worst: Tally


@dataclass(frozen=True)
class Replicates:
    """A reading of the rows drawn anew, with one row more, answered wrongly or rightly; and by what drawing shifts it.

    Attributes:
        wrong, right: the readings.
        shift: what drawing the rows as they are adds on average; 0 where the reading is a mean over rows.
        shards: how many lots of rows were drawn.
    """

    wrong: Float[np.ndarray, " d"]
    right: Float[np.ndarray, " d"]
    shift: float
    shards: int


def replicate(
    metrics: Sequence[Metric], whole: Tally, tallies: Sequence[Tally], extra: ExtraRows, seed: int = 0
) -> dict[str, Replicates]:
    """Read metrics of one observation from tallies of the shards of the whole, with random weights and one row more.

    For the mean of a score the wrong row is the worst one. For other readings it is an average one, and they are also
    read without it: drawing anew adds noise, with which an error of calibration grows.
    """
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=(DRAWS, len(tallies)))
    more, none = rng.exponential(size=(DRAWS, 1)), np.zeros((DRAWS, 1))
    replicates: dict[str, Replicates] = {}
    for mean in (True, False):
        alike = [metric for metric in metrics if (metric.interval == "mean") == mean]
        if not alike:
            continue
        wrong, many = (extra.worst, 1) if mean else (extra.wrong, extra.n)
        rows = [np.hstack([weights, more / many, none]), np.hstack([weights, none, more / extra.n])]
        if not mean:
            rows.append(np.hstack([weights, none, none]))
        values = read_sums(alike, [*tallies, wrong, extra.right], np.concatenate(rows))
        for j, metric in enumerate(alike):
            parts = values[:, j].reshape(-1, DRAWS)
            shift = 0.0 if mean else float(parts[2].mean()) - metric.read(whole)
            replicates[metric.name] = Replicates(parts[0], parts[1], shift, len(tallies))
    return replicates


def read_sums(metrics: Sequence[Metric], tallies: Sequence[Tally], weights: np.ndarray) -> Float[np.ndarray, "d m"]:
    """Read metrics from weighted sums of tallies, a few at a time."""
    values = np.empty((len(weights), len(metrics)))
    slow = [j for j, metric in enumerate(metrics) if metric.of_sums is None]
    for start in range(0, len(weights), _BATCH_DRAWS):
        chunk = slice(start, start + _BATCH_DRAWS)
        for j, metric in enumerate(metrics):
            if metric.of_sums is not None:
                values[chunk, j] = metric.of_sums(tallies, weights[chunk])
        if slow:
            sums = tallies[0].recombine(tallies, weights[chunk])
            values[chunk, slow] = [[metrics[j].read(tally) for j in slow] for tally in sums]
    return values


def interval(value: float, drawn: Replicates, level: float = LEVEL) -> tuple[float, float]:
    """Compute the interval of a reading from its replicates, so that it holds the reading.

    The lower end is the lesser quantile with one row more, wrong or right, the upper end the greater, less the shift;
    their distance from the reading is widened by what Student's t has over the normal law.
    """
    tail = (1 - level) / 2
    ends = np.array([np.nanquantile(family, [tail, 1 - tail]) for family in (drawn.wrong, drawn.right)])
    freedom = drawn.shards - 1
    wider = t_quantile(tail, freedom) / normal_quantile(tail) * np.sqrt(drawn.shards / freedom)
    low, high = wider * (np.array([ends[:, 0].min(), ends[:, 1].max()]) - drawn.shift - value)
    return value + min(float(low), 0.0), value + max(float(high), 0.0)
