"""Several losses over several seeds, side by side: means, intervals, and a winner only where the data can tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from surefoot.core.distributions import t_cdf, t_quantile
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions
from surefoot.core.scored import Scored
from surefoot.core.types import Labels
from surefoot.evaluate.evaluation import Evaluation, divide, evaluate
from surefoot.evaluate.remedy import Recommendation, recommend
from surefoot.metrics import METRICS, Metric
from surefoot.metrics.intervals import DRAWS, Replicates, Sample, interval, replicate
from surefoot.metrics.uncertainty import SHARDS, RowRange, Sharded, total, uniforms

COLUMNS = ("error", "ece", "ada_ece", "classwise_ece", "ks", "nll")
STAGES = ("before", "after")


@dataclass(frozen=True)
class ColumnValue:
    """A column's number for one loss.

    Attributes:
        mean: over the seeds.
        low, high: its 95% interval over seeds and rows, within what the column can be.
        floor: the mean noise floor.
        best: it beats every other loss at 5% in paired tests, corrected for their number; never with one seed.
        half_width: half of the interval, as files of before have it; not the distance of both ends.
    """

    mean: float
    low: float
    high: float
    floor: float
    best: bool
    half_width: float = field(init=False)

    def __post_init__(self) -> None:
        """Compute half the interval."""
        object.__setattr__(self, "half_width", (self.high - self.low) / 2)


@dataclass(frozen=True)
class Row:
    """One loss: its columns before and after the calibrator, and the temperatures."""

    loss: str
    seeds: int
    before: dict[str, ColumnValue]
    after: dict[str, ColumnValue]
    temperature: ColumnValue

    def at(self, stage: str) -> dict[str, ColumnValue]:
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
    """One trained network: its evaluation, and how every column changes with the test rows."""

    def __init__(self, predictions: Predictions, method: str, title: str) -> None:
        self.evaluation, calibrator = evaluate(predictions, method, title=title)
        _, tested = divide(predictions, None)
        self.labels = tested.labels
        self.before = _deviations(tested.scored(), tested.labels)
        self.after = _deviations(calibrator.predict_scored(tested.logits()), tested.labels)

    def value(self, stage: str, column: str) -> float:
        reading = getattr(self.evaluation, stage).readings[_metric(column).name]
        return 1 - reading.value if column == "error" else reading.value

    def floor(self, stage: str, column: str) -> float:
        floor = getattr(self.evaluation, stage).readings[_metric(column).name].floor
        return float("nan") if column == "error" else floor


def _deviations(probs: Scored, labels: Labels) -> dict[str, Float[np.ndarray, "2 d"]]:
    """Compute by how much each column changes when the rows are drawn anew, with one row more, wrong or right.

    The draws are the same for every network (paired).
    """
    priority, chance = (uniforms([0, stream], 0, len(labels)) for stream in (2, 3))
    sample = Sample.of(probs, labels, priority, chance).bounded()
    columns = {_metric(column).name: column for column in COLUMNS}
    deviations: dict[str, np.ndarray] = {}
    for observe in dict.fromkeys(METRICS[name].observe for name in columns):
        metrics = [METRICS[name] for name in columns if METRICS[name].observe == observe]
        sharded = Sharded(observe, seed=0)
        sharded.add(probs, labels, RowRange(0, len(labels)))
        extra = sample.extra_rows(observe)
        if extra is None:  # no row has another class that could be its label
            deviations |= {columns[metric.name]: np.zeros((2, DRAWS)) for metric in metrics}
            continue
        whole = total(sharded.tallies)
        for name, drawn in replicate(metrics, whole, sharded.tallies, extra).items():
            kinds = np.stack([drawn.wrong, drawn.right])
            deviations[columns[name]] = _sign(columns[name]) * (kinds - drawn.shift - METRICS[name].read(whole))
    return deviations


def _ends(values: np.ndarray, deviations: Float[np.ndarray, "2 d"], span: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of the 95% interval of a mean over seeds, within `span`.

    `values` and `deviations` as for `_spread`. Each side has its own spread over the rows: that of the interval that
    `measure` shows (`metrics.intervals`), which with one seed this is.
    """
    wrong, right = deviations
    reach = interval(0.0, Replicates(wrong, right, 0.0, SHARDS))
    ends = []
    for sign, side in zip((-1, 1), reach, strict=True):
        error, freedom = _joined((side / t_quantile(0.975, SHARDS - 1)) ** 2, values)
        ends.append(values.mean() + sign * t_quantile(0.975, freedom) * error)
    return float(max(ends[0], span[0])), float(min(ends[1], span[1]))


def _spread(values: np.ndarray, deviations: Float[np.ndarray, "kinds d"]) -> tuple[float, float]:
    """Return the standard error of a mean over seeds and its degrees of freedom (Welch and Satterthwaite).

    `values` (seeds,) varies by training; `deviations`, of the mean over seeds, by the test rows: those of the kind of
    row more that moves it most.
    """
    return _joined(float((deviations**2).mean(1).max()), values)


def _joined(by_rows: float, values: np.ndarray) -> tuple[float, float]:
    """Join the variance of a mean by the rows with that by the seeds; return the error and its degrees of freedom."""
    seeds = len(values)
    by_seed = float(values.var(ddof=1)) / seeds if seeds > 1 else 0.0
    together = by_rows + by_seed
    if together == 0:
        return 0.0, math.inf
    freedom = by_rows**2 / (SHARDS - 1) + (by_seed**2 / (seeds - 1) if seeds > 1 else 0.0)
    return math.sqrt(together), together**2 / freedom


def mean_interval(values: Sequence[float], span: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of Student's 95% interval of a mean over seeds, within `span`; NaN from one seed.

    >>> mean_interval([1.0, 2.0, 3.0], (0.0, 4.0)), mean_interval([1.0], (0.0, 4.0))
    ((0.0, 4.0), (nan, nan))
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean, half = np.mean(values), t_quantile(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    return float(np.clip(mean - half, *span)), float(np.clip(mean + half, *span))


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
    runs = cells[loss]
    stages = {stage: {column: _value(loss, stage, column, cells) for column in COLUMNS} for stage in STAGES}
    temperatures = np.array([cell.evaluation.temperature or float("nan") for cell in runs])
    low, high = mean_interval(temperatures.tolist(), (0.0, math.inf))
    temperature = ColumnValue(float(temperatures.mean()), low, high, math.nan, False)
    return Row(loss, len(runs), stages["before"], stages["after"], temperature)


def _value(loss: str, stage: str, column: str, cells: dict[str, list[_Cell]]) -> ColumnValue:
    runs = cells[loss]
    values = np.array([cell.value(stage, column) for cell in runs])
    low, high = _ends(values, np.mean([getattr(cell, stage)[column] for cell in runs], axis=0), _metric(column).span)
    floor = float(np.mean([cell.floor(stage, column) for cell in runs]))
    return ColumnValue(float(values.mean()), low, high, floor, _beats_all(loss, stage, column, cells))


def _beats_all(loss: str, stage: str, column: str, cells: dict[str, list[_Cell]]) -> bool:
    others = [name for name in cells if name != loss]
    if len(cells[loss]) < 2:  # one training says nothing of how another would have ended
        return False
    return bool(others) and all(pvalue(cells[loss], cells[o], stage, column) < 0.05 / len(others) for o in others)


def pvalue(a: Sequence[_Cell], b: Sequence[_Cell], stage: str, column: str) -> float:
    """Test one-sidedly, paired over rows and seeds, whether `a` is lower than `b` in a column."""
    values = np.array([x.value(stage, column) - y.value(stage, column) for x, y in zip(a, b, strict=True)])
    left, right = (np.mean([getattr(cell, stage)[column] for cell in cells], axis=0) for cells in (a, b))
    kinds = (left[:, None] - right[None]).reshape(-1, left.shape[1])  # the row more may be wrong for one of them alone
    error, freedom = _spread(values, kinds)
    if error == 0:
        return 0.0 if values.mean() < 0 else 1.0
    return t_cdf(values.mean() / error, freedom)
