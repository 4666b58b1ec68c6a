"""Comparisons as terminal tables."""

import math
import re

from rich.table import Table

from surefoot.evaluate.comparison import COLUMNS, STAGES, ColumnValue, Comparison, Row
from surefoot.report.readings import IN_PERCENT

TITLES = {"error": "error", "ece": "ECE", "ada_ece": "AdaECE", "classwise_ece": "cwECE", "ks": "KS", "nll": "NLL"}


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
            marked += [format_temperature(row)] if stage == "after" else []
            table.add_row(row.loss, *map(_two_lines, marked))
        table.add_section()
        floors = [f"[dim]{format_floors(comparison, stage, c)}[/dim]" for c in COLUMNS]
        table.add_row("[dim]noise floor,\nall losses[/dim]", *floors)
        tables.append(table)
    return tables


def _two_lines(text: str) -> str:
    """Write an interval below its number: one line would be too wide for a terminal."""
    return re.sub(r" \((\S+) to (\S+)\)", r"\n\1–\2", text)


def _scale(column: str) -> tuple[int, int]:
    """Return the factor and the digits a column is printed with."""
    return (100, 2) if column in IN_PERCENT else (1, 3)


def format_value(column: str, value: ColumnValue) -> str:
    """Format a mean with its interval."""
    scale, digits = _scale(column)
    return with_interval(scale * value.mean, scale * value.low, scale * value.high, digits)


def format_temperature(row: Row) -> str:
    """Format the mean temperature of a loss with its interval, a dash for calibrators without one."""
    return with_interval(row.temperature.mean, row.temperature.low, row.temperature.high, 2)


def with_interval(mean: float, low: float, high: float, digits: int) -> str:
    """Format a number with the ends of its interval, or with half of it where both sides are equal as printed.

    An end has no more digits than show two of its distance.

    >>> with_interval(0.13612, 0.0921, 0.2519, 3), with_interval(2.2171, 2.2019, 2.2323, 3)
    ('0.136 (0.092 to 0.25)', '2.217 ± 0.015')
    """
    if math.isnan(mean):
        return "–"
    shown = f"{mean:.{digits}f}"
    if math.isnan(low) or math.isnan(high):
        return shown
    below, above = (f"{abs(end - mean):.{digits}f}" for end in (low, high))
    if below == above:
        return f"{shown} ± {above}"
    return f"{shown} ({_end(low, mean, digits)} to {_end(high, mean, digits)})"


def _end(end: float, mean: float, digits: int) -> str:
    away = abs(end - mean)
    places = 1 - math.floor(math.log10(away)) if 0 < away < math.inf else digits
    return f"{end:.{min(max(places, 0), digits)}f}"


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
    few = " Two seeds say little of a third: intervals are wide." if seeds == 2 else ""
    bold = any(value.best for row in comparison.rows for stage in STAGES for value in row.at(stage).values())
    note = "* and bold: better than every other loss." if bold else "No loss is bold: none beats every other."
    return (
        f"Mean over {plural} on the same {comparison.n:,} test rows, with its 95% interval over seeds and rows, cut at "
        f"what a metric can be: written under the mean, or as ± where both sides are as long.{few} {note} (Paired "
        f"tests at 5%, corrected for the number of losses.) The noise floor is what a perfectly calibrated model with "
        f"the same confidences would show: from the least to the greatest of the losses."
    )
