"""One table of predictions, measured before and after recalibration: the result that pages, tables and JSON show."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from surefoot.core.errors import InputError
from surefoot.core.precision import Zeros
from surefoot.core.predictions import Predictions
from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Probs
from surefoot.evaluate.remedy import Remedy, find_remedy
from surefoot.metrics import STANDARD, Reading, observe_reliability
from surefoot.metrics.intervals import clopper_pearson
from surefoot.metrics.reliability import Reliability, zero_in_first
from surefoot.metrics.uncertainty import Measuring, RowRange
from surefoot.recalibrate import Auto, Calibrator, find_calibrator


@dataclass(frozen=True)
class ReliabilityCurve:
    """A reliability diagram's data: for each bin that is not empty, its edges, rows, and accuracy with its interval."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    accuracy_low: tuple[float, ...]
    accuracy_high: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """All readings of one set of probabilities, and its curve."""

    n: int
    k: int
    readings: dict[str, Reading]
    curve: ReliabilityCurve


@dataclass(frozen=True)
class Evaluation:
    """A model measured before and after recalibration on rows that the calibrator did not see.

    Attributes:
        method: the calibrator's name.
        temperature: what it learnt, if it is a temperature.
        fitted_on: number of rows the calibrator was fitted on.
        remedy: the calibrator that suits those rows best.
        zeros: probabilities of exactly 0 among the rows measured, and what they count as.
        at_bound: whether the calibrator's likelihood alone knew no best temperature: no row was wrong, or none right.
        fitted_right: of the rows the calibrator was fitted on, the share answered rightly.
        shared: of the rows measured, those that are also, number for number, among the rows of a calibration table.
        chosen: whether `method` was chosen by held-out rows, not asked for.
    """

    title: str
    before: Measured
    after: Measured
    method: str
    temperature: float | None
    fitted_on: int
    provenance: dict[str, str]
    remedy: Remedy
    zeros: Zeros | None = None
    at_bound: bool | None = None
    fitted_right: float = math.nan
    shared: int = 0
    chosen: bool = False


def curve_of(tally: Reliability) -> ReliabilityCurve:
    """Compute the reliability diagram of a tally; intervals are Clopper and Pearson's, 95% a bin."""
    bins = len(tally.count) - 1
    count, correct, confidence = (zero_in_first(x) for x in (tally.count, tally.correct, tally.confidence))
    filled = np.flatnonzero(count)
    count, correct, confidence = count[filled], correct[filled], confidence[filled]
    low, high = clopper_pearson(correct, count)
    columns = (filled / bins, (filled + 1) / bins, count, confidence / count, correct / count, low, high)
    lists = [tuple(column.tolist()) for column in columns]
    lists[2] = tuple(int(c) for c in lists[2])
    return ReliabilityCurve(*lists)  # type: ignore[arg-type]


def measure_all(probs: Probs | Scored, labels: Labels, seed: int = 0, rows: RowRange | None = None) -> Measured:
    """Read the standard metrics, with intervals and floors, and the curve.

    Arguments:
        rows: which rows of a table these are: what is drawn for a row depends on its number in the table, so that
            `surefoot measure --split test` gives the same numbers.
    """
    state = Measuring(STANDARD, seed=seed)
    state.add(probs, labels, rows)
    n, k = probs.shape
    return Measured(n, k, state.readings(), curve_of(observe_reliability(probs, labels)))


def divide(table: Predictions, calibration: Predictions | None, seed: int = 0) -> tuple[Predictions, Predictions]:
    """Divide predictions into rows to fit a calibrator on and rows to measure.

    A calibration table of its own (its `validation` part, if it has one), else the table's `validation` and `test`
    parts, else two random halves.

    Raises:
        InputError: the two tables differ in classes, or a table has too few rows or lacks one of the parts.
    """
    if calibration is not None and calibration.k != table.k:
        raise InputError(f"the calibration table has {calibration.k} classes, the table to measure {table.k}")
    measured = measured_rows(table, calibration, seed)
    if calibration is None:
        calibration = table.rows(~measured) if table.split is None else table.part("validation")
    elif "validation" in calibration.parts:
        calibration = calibration.part("validation")
    return calibration, table if measured.all() else table.rows(measured)


def measured_rows(table: Predictions, calibration: Predictions | None = None, seed: int = 0) -> Bool[np.ndarray, " n"]:
    """Say which rows of a table are measured: `divide` has the rule."""
    if calibration is not None:
        return table.split == "test" if "test" in table.parts else np.ones(table.n, dtype=bool)
    if table.split is not None:
        if not {"validation", "test"} <= set(table.parts):
            raise InputError(
                f"a split needs the parts validation and test, got {', '.join(table.parts)}: add the other, give the "
                f"rows to learn on as a table of their own (--calibration), or leave the split out for random halves"
            )
        return table.split == "test"
    if table.n < 2:
        raise InputError("one row cannot be divided into a part to recalibrate on and a part to measure")
    order = np.random.default_rng(seed).permutation(table.n)
    mask = np.zeros(table.n, dtype=bool)
    mask[order[table.n // 2 :]] = True
    return mask


def evaluate(
    table: Predictions,
    method: str = "temperature",
    calibration: Predictions | None = None,
    title: str = "",
    seed: int = 0,
) -> tuple[Evaluation, Calibrator]:
    """Fit a calibrator on one part of the predictions and measure the other before and after; return both.

    With `auto`, the evaluation has the name of the calibrator that was chosen.
    """
    fitted_on, tested = divide(table, calibration, seed)
    calibrator = find_calibrator(method)().fit_table(fitted_on)
    rows = RowRange(0, table.n, measured_rows(table, calibration, seed))
    before = measure_all(tested.scored(), tested.labels, seed, rows)
    after = measure_all(calibrator.predict_scored(tested.logits()), tested.labels, seed, rows)
    temperature = getattr(calibrator, "temperature_", None)
    if isinstance(calibrator, Auto):
        method = calibrator.method_  # what was chosen is what was done
    remedy = find_remedy(fitted_on, table.provenance.get("loss", ""))
    evaluation = Evaluation(
        title, before, after, method, temperature, fitted_on.n, table.provenance, remedy, tested.zeros,
        calibrator.at_bound_, share_right(fitted_on), 0 if calibration is None else _shared(fitted_on, tested),
        isinstance(calibrator, Auto),
    )  # fmt: skip
    return evaluation, calibrator


def _shared(fitted_on: Predictions, tested: Predictions) -> int:
    """Count the rows of one table that another has, too: the same scores, and the same label."""
    if fitted_on.kind != tested.kind:
        return 0
    dtype = np.result_type(fitted_on.scores, tested.scores)
    seen, keys = (
        [hash((row.tobytes(), y)) for row, y in zip(t.scores.astype(dtype), t.labels.tolist(), strict=True)]
        for t in (fitted_on, tested)
    )
    known = set(seen)
    return sum(key in known for key in keys)


def share_right(table: Predictions) -> float:
    """Compute for how many of the rows no class is more probable than the label."""
    scores = table.scored().scores
    return float((scores[np.arange(table.n), table.labels] >= scores.max(1)).mean())
