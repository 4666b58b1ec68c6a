"""Several losses over several seeds, side by side: means, intervals, and a winner only where the data can tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions
from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Probs
from surefoot.metrics import METRICS, Metric
from surefoot.metrics.uncertainty import Rows, Sharded, bootstrap_weights
from surefoot.report.evaluation import Evaluation, divide, evaluate
from surefoot.report.remedy import Recommendation, recommend

COLUMNS = ("error", "ece", "ada_ece", "classwise_ece", "ks", "nll")
STAGES = ("before", "after")


@dataclass(frozen=True)
class Value:
    """A column's number for one loss: mean over seeds, half-width of its 95% interval, mean noise floor.

    `best` says that it beats every other loss at 5% in paired tests, corrected for their number; never with one seed.
    """

    mean: float
    half_width: float
    floor: float
    best: bool


@dataclass(frozen=True)
class Row:
    """One loss: its columns before and after the recalibrator, and the temperatures."""

    loss: str
    seeds: int
    before: dict[str, Value]
    after: dict[str, Value]
    temperature: Value

    def at(self, stage: str) -> dict[str, Value]:
        """Return the columns of a stage, `before` or `after`."""
        return self.before if stage == "before" else self.after


@dataclass(frozen=True)
class Comparison:
    """The paper's table, and for each loss the evaluation of its first seed for the figures.

    `pvalues[stage][a][b]` is the paired one-sided test that loss a has the lower ECE; `recommendation` looks at the
    held-out part alone.
    """

    title: str
    method: str
    n: int
    rows: tuple[Row, ...]
    examples: tuple[Evaluation, ...]
    pvalues: dict[str, dict[str, dict[str, float]]]
    recommendation: Recommendation


def _metric(column: str) -> Metric:
    return METRICS["accuracy" if column == "error" else column]


def _sign(column: str) -> int:
    return -1 if column == "error" else 1  # accuracy is measured, its complement shown


class _Cell:
    """One trained network: its evaluation, and bootstrap replicates of every column over the test rows."""

    def __init__(self, predictions: Predictions, method: str, title: str) -> None:
        self.evaluation, recalibrator = evaluate(predictions, method, title=title)
        _, tested = divide(predictions, None)
        self.labels = tested.labels
        self.before = _replicates(tested.scored(), tested.labels)
        self.after = _replicates(recalibrator.predict_scored(tested.logits()), tested.labels)

    def value(self, stage: str, column: str) -> float:
        reading = getattr(self.evaluation, stage).readings[_metric(column).name]
        return 1 - reading.value if column == "error" else reading.value

    def floor(self, stage: str, column: str) -> float:
        floor = getattr(self.evaluation, stage).readings[_metric(column).name].floor
        return float("nan") if column == "error" else floor


def _replicates(probs: Probs | Scored, labels: Labels) -> dict[str, np.ndarray]:
    """Compute each column on bootstrap samples of the rows; the same samples for every network (paired)."""
    found: dict[str, np.ndarray] = {}
    tallies: dict[object, list] = {}
    for column in COLUMNS:
        metric = _metric(column)
        if metric.observe not in tallies:
            sharded = Sharded(metric.observe, seed=0)
            sharded.add(probs, labels, Rows(0, len(labels)))
            shards = sharded.tallies
            tallies[metric.observe] = shards[0].recombine(shards, bootstrap_weights(len(shards)))
        found[column] = _sign(column) * np.array([metric.read(t) for t in tallies[metric.observe]])
    return found


def _spread(values: np.ndarray, replicates: np.ndarray, shards: int = 100) -> tuple[float, float]:
    """Return the standard error of a mean over seeds and its degrees of freedom (Welch and Satterthwaite).

    `values` (seeds,) varies by training; `replicates` (seeds, draws), averaged over seeds, by the test rows.
    """
    seeds = len(values)
    by_rows = float(replicates.mean(0).var(ddof=1))
    by_seed = float(values.var(ddof=1)) / seeds if seeds > 1 else 0.0
    total = by_rows + by_seed
    if total == 0:
        return 0.0, math.inf
    freedom = by_rows**2 / (shards - 1) + (by_seed**2 / (seeds - 1) if seeds > 1 else 0.0)
    return math.sqrt(total), total**2 / freedom


def compare(results: Mapping[str, Sequence[Predictions]], method: str = "temperature", title: str = "") -> Comparison:
    """Build the table from each loss's predictions, one for each seed; all must be of the same rows.

    Raises:
        InputError: the tables' labels differ, or losses have different numbers of seeds.
    """
    cells = {loss: [_Cell(p, method, loss) for p in tables] for loss, tables in results.items()}
    first = next(iter(cells.values()))[0]
    for loss, row in cells.items():
        if any(not np.array_equal(cell.labels, first.labels) for cell in row):
            raise InputError(f"the predictions of {loss!r} are of other rows: a comparison needs the same test rows")
    for a, b in pairwise(cells):
        if len(cells[a]) != len(cells[b]):
            raise InputError(f"{a!r} has {len(cells[a])} seeds, {b!r} has {len(cells[b])}; a comparison is paired")
    rows = tuple(_row(loss, cells) for loss in cells)
    examples = tuple(row[0].evaluation for row in cells.values())
    several = [loss for loss in cells if len(cells[loss]) > 1]  # one training says nothing of how another would end
    pvalues = {
        stage: {a: {b: pvalue(cells[a], cells[b], stage, "ece") for b in several if b != a} for a in several}
        for stage in STAGES
    }
    held_out = {loss: [divide(table, None)[0] for table in tables] for loss, tables in results.items()}
    n = first.evaluation.before.n
    return Comparison(title, method, n, rows, examples, pvalues, recommend(held_out))


def _row(loss: str, cells: dict[str, list[_Cell]]) -> Row:
    own = cells[loss]
    stages = {stage: {column: _value(loss, stage, column, cells) for column in COLUMNS} for stage in STAGES}
    temperatures = np.array([cell.evaluation.temperature or float("nan") for cell in own])
    width = float("nan")
    if len(own) > 1:
        width = float(stats.t.ppf(0.975, len(own) - 1) * temperatures.std(ddof=1) / math.sqrt(len(own)))
    temperature = Value(float(temperatures.mean()), width, float("nan"), False)
    return Row(loss, len(own), stages["before"], stages["after"], temperature)


def _value(loss: str, stage: str, column: str, cells: dict[str, list[_Cell]]) -> Value:
    own = cells[loss]
    values = np.array([cell.value(stage, column) for cell in own])
    replicates = np.array([getattr(cell, stage)[column] for cell in own])
    error, freedom = _spread(values, replicates)
    width = float(stats.t.ppf(0.975, freedom) * error)
    floor = float(np.mean([cell.floor(stage, column) for cell in own]))
    return Value(float(values.mean()), width, floor, _beats_all(loss, stage, column, cells))


def _beats_all(loss: str, stage: str, column: str, cells: dict[str, list[_Cell]]) -> bool:
    others = [name for name in cells if name != loss]
    if len(cells[loss]) < 2:  # one training says nothing of how another would have ended
        return False
    return bool(others) and all(pvalue(cells[loss], cells[o], stage, column) < 0.05 / len(others) for o in others)


def pvalue(a: Sequence[_Cell], b: Sequence[_Cell], stage: str, column: str) -> float:
    """Test one-sidedly, paired over rows and seeds, whether `a` is lower than `b` in a column."""
    values = np.array([x.value(stage, column) - y.value(stage, column) for x, y in zip(a, b, strict=True)])
    replicates = np.array([getattr(x, stage)[column] - getattr(y, stage)[column] for x, y in zip(a, b, strict=True)])
    error, freedom = _spread(values, replicates)
    if error == 0:
        return 0.0 if values.mean() < 0 else 1.0
    return float(stats.t.cdf(values.mean() / error, freedom))
