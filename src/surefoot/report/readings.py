"""Readings as terminal tables, and how each is printed."""

import math
from collections.abc import Mapping

from rich.table import Table

from surefoot.evaluate.measuring import Group
from surefoot.metrics import METRICS, Reading

_OF_GROUPS = ("accuracy", "nll", "ece", "ks", "overconfidence", "ks_pvalue")
IN_PERCENT = {
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
    return f"{100 * value:.{digits}f}%" if name in IN_PERCENT else f"{value:.4f}"


def show_interval(name: str, reading: Reading) -> str:
    """Format an interval, or why there is none; a dash where none was asked for, or the metric has none."""
    if math.isnan(reading.low):
        return "–" if METRICS[name].interval == "none" else reading.note or "–"
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
    scale = 100 if name in IN_PERCENT else 1
    scatter = scale * abs(reading.floor_high - reading.floor) / 1.645
    usual = 2 if name in IN_PERCENT else 4
    places = min(_places(scatter, 1), usual) if scatter else 0
    places = min(max(places, _places(scale * value, 2), 0), 9)
    shown = round(scale * value, places)
    return (f"{shown:.{places}f}" if shown else "0") + ("%" if scale == 100 else "")


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
    "95% interval: for the metric's expected value on test sets of this size; some metrics have none (–). Noise floor: "
    "what chance alone gives a calibrated model, its mean, and (≤) what 95% of such test sets stay below."
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
