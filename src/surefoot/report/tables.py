"""Comparisons as terminal tables."""

import math

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
            table.add_row(row.loss, *marked, *([format_temperature(row)] if stage == "after" else []))
        table.add_section()
        floors = [f"[dim]{format_floors(comparison, stage, c)}[/dim]" for c in COLUMNS]
        table.add_row("[dim]noise floor[/dim]", *floors)
        tables.append(table)
    return tables


def _scale(column: str) -> tuple[int, int]:
    """Return the factor and the digits a column is printed with."""
    return (100, 2) if column in IN_PERCENT else (1, 3)


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
