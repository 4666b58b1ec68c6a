"""Results as terminal tables."""

import math
from collections.abc import Mapping

from rich.table import Table

from surefoot.metrics import METRICS, Reading
from surefoot.report.comparison import COLUMNS, STAGES, Comparison, Value

_TITLES = {"error": "error", "ece": "ECE", "ada_ece": "AdaECE", "classwise_ece": "cwECE", "ks": "KS", "nll": "NLL"}
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
}


def show(name: str, value: float, digits: int = 2) -> str:
    """Format a reading as it is usually printed: percent for errors and accuracies, plain for the rest."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.{digits}f}%" if name in _IN_PERCENT else f"{value:.4f}"


def readings_table(readings: Mapping[str, Reading], title: str) -> Table:
    """Lay out readings with their intervals and floors."""
    table = Table(title=title, title_justify="left")
    for heading in ("metric", "value", "95% interval", "noise floor"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, reading in readings.items():
        table.add_row(METRICS[name].title, show(name, reading.value), _interval(name, reading), _floor(name, reading))
    return table


def _interval(name: str, r: Reading) -> str:
    return "–" if math.isnan(r.low) else f"{show(name, r.low)} to {show(name, r.high)}"


def _floor(name: str, r: Reading) -> str:
    return "–" if math.isnan(r.floor) else f"{show(name, r.floor)} (≤ {show(name, r.floor_high)})"


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Lay out the paper's table: one before and one after the recalibrator."""
    tables = []
    for stage in STAGES:
        table = Table(title=f"{stage} {comparison.method}", title_justify="left")
        table.add_column("loss")
        for column in COLUMNS:
            table.add_column(_TITLES[column] + ("" if column == "nll" else " %"), justify="right")
        if stage == "after":
            table.add_column("T", justify="right")
        for row in comparison.rows:
            values = row.before if stage == "before" else row.after
            cells = [_cell(column, values[column]) for column in COLUMNS]
            temperature = row.temperature
            cells += [_plus_minus(temperature.mean, temperature.half_width, 2)] if stage == "after" else []
            table.add_row(row.loss, *cells)
        table.add_section()
        table.add_row("[dim]noise floor[/dim]", *(f"[dim]{_floor_range(comparison, stage, c)}[/dim]" for c in COLUMNS))
        tables.append(table)
    return tables


def _cell(column: str, value: Value) -> str:
    percent = column in _IN_PERCENT
    text = _plus_minus(
        value.mean * (100 if percent else 1), value.half_width * (100 if percent else 1), 2 if percent else 3
    )
    return f"[bold]{text} *[/bold]" if value.best else text


def _plus_minus(mean: float, half_width: float, digits: int) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(half_width) else f"±{half_width:.{digits}f}")


def _floor_range(comparison: Comparison, stage: str, column: str) -> str:
    floors = [(row.before if stage == "before" else row.after)[column].floor for row in comparison.rows]
    if any(math.isnan(f) for f in floors):
        return "–"
    scale, digits = (100, 2) if column in _IN_PERCENT else (1, 3)
    return f"{scale * min(floors):.{digits}f}–{scale * max(floors):.{digits}f}"


def footnote(comparison: Comparison) -> str:
    """Explain the table in one paragraph."""
    seeds = comparison.rows[0].seeds
    plural = f"{seeds} seeds" if seeds > 1 else "one seed (the interval knows nothing of other seeds)"
    bold = any(value.best for row in comparison.rows for values in (row.before, row.after) for value in values.values())
    told = "* and bold: better than every other loss." if bold else "No loss is bold: none beats every other."
    return (
        f"Mean over {plural} on the same {comparison.n:,} test rows, ± half the 95% interval over seeds and rows. {told} "
        f"(Paired tests at 5%, corrected for the number of losses.) The noise floor is what a perfectly calibrated "
        f"model with the same confidences would show."
    )
