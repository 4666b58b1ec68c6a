"""Results as terminal tables."""

import math
from collections.abc import Mapping

from rich.table import Table

from surefoot.evaluate.comparison import COLUMNS, STAGES, ColumnValue, Comparison, Row
from surefoot.evaluate.measuring import Group
from surefoot.metrics import METRICS, Reading

TITLES = {"error": "error", "ece": "ECE", "ada_ece": "AdaECE", "classwise_ece": "cwECE", "ks": "KS", "nll": "NLL"}
_OF_GROUPS = ("accuracy", "nll", "ece", "ks", "overconfidence", "ks_pvalue")
_IN_PERCENT = {
    "accuracy",
    "error",
    "ece",
    "ece_debiased",
    "ada_ece",
    "classwise_ece",
    "mce",
    "rmsce",
    "overconfidence",
    "ks",
    "smooth_ece",
    "cross_validated_ece",
    "ks_second",
    "ks_within_two",
    "ks_classwise",
}


def show(name: str, value: float, digits: int = 2) -> str:
    """Format a reading as it is usually printed: percent for errors and accuracies, plain for the rest."""
    if math.isnan(value):
        return "–"
    if name.endswith("pvalue") and value < 5e-5:
        return "<0.0001"
    return f"{100 * value:.{digits}f}%" if name in _IN_PERCENT else f"{value:.4f}"


def show_interval(name: str, reading: Reading) -> str:
    """Format an interval, or why there is none; a dash where none was asked for."""
    if math.isnan(reading.low):
        return reading.note or "–"
    return f"{show(name, reading.low)} to {show(name, reading.high)}"


def show_floor(name: str, reading: Reading) -> str:
    """Format the noise floor of a reading, with no more digits than so few draws are good for; a dash for none."""
    if math.isnan(reading.floor):
        return "–"
    floor, high = (_rounded(name, x, reading) for x in (reading.floor, reading.floor_high))
    if reading.floor > reading.floor_high:  # rare errors raise the mean above the 95th percentile
        return f"≤ {high} (95%; mean {floor})"
    return f"{floor} (≤ {high})"


def _rounded(name: str, value: float, reading: Reading) -> str:
    """Format a floor to two significant digits, or, where that is more, to the first digit of its scatter."""
    scale = 100 if name in _IN_PERCENT else 1
    scatter = scale * abs(reading.floor_high - reading.floor) / 1.645
    usual = 2 if name in _IN_PERCENT else 4
    places = min(_places(scatter, 1), usual) if scatter else 0
    places = max(places, _places(scale * value, 2), 0)
    return f"{scale * value:.{min(places, 9)}f}" + ("%" if scale == 100 else "")


def _places(x: float, significant: int) -> int:
    """Return how many decimals show so many significant digits."""
    return significant - 1 - math.floor(math.log10(abs(x))) if x and math.isfinite(x) else 0


def readings_table(readings: Mapping[str, Reading], title: str) -> Table:
    """Lay out readings with their intervals and floors."""
    table = Table(title=title, title_justify="left")
    for heading in ("metric", "value", "95% interval", "noise floor"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, reading in readings.items():
        table.add_row(
            METRICS[name].title, show(name, reading.value), show_interval(name, reading), show_floor(name, reading)
        )
    return table


READINGS_NOTE = (
    "The interval is one for the mean of the reading over other tables of as many rows; the noise floor is the reading "
    "that chance alone gives a calibrated model: its mean, and (≤) what 95% of such tables stay below."
)


def groups_table(groups: Mapping[str, Group], by: str) -> Table:
    """Lay out each group's rows and main readings, the first line for all rows."""
    shown = [name for name in _OF_GROUPS if name in groups[""].readings]
    table = Table(title=f"by {by}", title_justify="left")
    for i, heading in enumerate((by, "rows", *(METRICS[name].title for name in shown))):
        table.add_column(heading, justify="right" if i else "left")
    for name, group in groups.items():
        cells = [show(m, group.readings[m].value) for m in shown]
        table.add_row(name or "all", f"{group.n:,}", *cells)
    return table


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Lay out the paper's table: one before and one after the calibrator."""
    tables = []
    for stage in STAGES:
        table = Table(title=f"{stage} {comparison.method}", title_justify="left")
        table.add_column("loss", no_wrap=True)
        for column in COLUMNS:
            table.add_column(TITLES[column] + ("" if column == "nll" else " %"), justify="right", no_wrap=True)
        if stage == "after":
            table.add_column("T", justify="right", no_wrap=True)
        for row in comparison.rows:
            values = row.at(stage)
            texts = [format_value(c, values[c]) for c in COLUMNS]
            marked = [f"[bold]{t} *[/bold]" if values[c].best else t for c, t in zip(COLUMNS, texts, strict=True)]
            table.add_row(row.loss, *marked, *([format_temperature(row)] if stage == "after" else []))
        table.add_section()
        floors = [f"[dim]{format_floors(comparison, stage, c)}[/dim]" for c in COLUMNS]
        table.add_row("[dim]noise floor[/dim]", *floors)
        tables.append(table)
    return tables


def _scale(column: str) -> tuple[int, int]:
    """Return the factor and the digits a column is printed with."""
    return (100, 2) if column in _IN_PERCENT else (1, 3)


def format_value(column: str, value: ColumnValue) -> str:
    """Format a mean with half its interval."""
    scale, digits = _scale(column)
    return _plus_minus(scale * value.mean, scale * value.half_width, digits)


def format_temperature(row: Row) -> str:
    """Format the mean temperature of a loss, a dash for calibrators without one."""
    return _plus_minus(row.temperature.mean, row.temperature.half_width, 2)


def _plus_minus(mean: float, half_width: float, digits: int) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(half_width) else f"±{half_width:.{digits}f}")


def format_floors(comparison: Comparison, stage: str, column: str) -> str:
    """Format the range of a column's noise floor over the losses: each has its own confidences."""
    floors = [row.at(stage)[column].floor for row in comparison.rows]
    if any(math.isnan(f) for f in floors):
        return "–"
    scale, digits = _scale(column)
    return f"{scale * min(floors):.{digits}f}–{scale * max(floors):.{digits}f}"


def footnote(comparison: Comparison) -> str:
    """Explain the table in one paragraph."""
    seeds = comparison.rows[0].seeds
    plural = f"{seeds} seeds" if seeds > 1 else "one seed, from which no winner can be told,"
    bold = any(value.best for row in comparison.rows for stage in STAGES for value in row.at(stage).values())
    told = "* and bold: better than every other loss." if bold else "No loss is bold: none beats every other."
    return (
        f"Mean over {plural} on the same {comparison.n:,} test rows, ± half the 95% interval over seeds and rows. "
        f"{told} (Paired tests at 5%, corrected for the number of losses.) The noise floor is what a perfectly "
        f"calibrated model with the same confidences would show."
    )
