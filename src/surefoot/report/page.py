"""The HTML page: one file, no network, readable in the dark and on a phone."""

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
import plotly.io
from plotly.offline import get_plotlyjs

from surefoot import __version__
from surefoot.core.files import write_text
from surefoot.metrics import METRICS
from surefoot.report.comparison import COLUMNS, STAGES, Comparison
from surefoot.report.evaluation import Evaluation, Measured, plain
from surefoot.report.figures import AFTER, BEFORE, figure_of
from surefoot.report.tables import footnote, format_floors, format_temperature, format_value, show
from surefoot.report.verdict import advice, diagnosis, direction

_COLUMN_TITLES = {"error": "error"} | {c: METRICS[c].title for c in COLUMNS if c != "error"}


@dataclass(frozen=True)
class _Section:
    """One model on the page."""

    title: str
    direction: str
    sentences: tuple[str, str]
    figures: list[str]
    readings: list[tuple[str, str, str, str, str]]


def write_page(
    path: Path | str, title: str, evaluations: list[Evaluation], comparison: Comparison | None = None
) -> None:
    """Write the page of one or several evaluated models, with the comparison's table on top if there is one."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("surefoot.report").joinpath("page.html").read_text(encoding="utf-8"))
    sections = [_section(evaluation, number) for number, evaluation in enumerate(evaluations)]
    results = {"title": title, "evaluations": plain(evaluations), "comparison": plain(comparison)}
    text = template.render(
        title=title,
        version=__version__,
        plotly=get_plotlyjs(),
        sections=sections,
        stages=_stages(comparison) if comparison else None,
        columns=[_COLUMN_TITLES[c] for c in COLUMNS],
        method=evaluations[0].method if evaluations else "",
        footnote=footnote(comparison) if comparison else "",
        results=json.dumps(results, allow_nan=False).replace("<", "\\u003c"),
    )
    write_text(path, text)


def _section(evaluation: Evaluation, number: int) -> _Section:
    stages = ((evaluation.before, "as it is", BEFORE), (evaluation.after, f"after {evaluation.method}", AFTER))
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    figures = [
        plotly.io.to_html(
            figure_of(measured.curve, title, colour), full_html=False, include_plotlyjs=False,
            div_id=f"figure-{number}-{stage}", config=config,
        )
        for stage, (measured, title, colour) in enumerate(stages)
    ]  # fmt: skip
    readings = [_reading(name, evaluation.before, evaluation.after) for name in METRICS]
    sentences = (diagnosis(evaluation.before), advice(evaluation))
    return _Section(evaluation.title, direction(evaluation.before), sentences, figures, readings)


def _reading(name: str, before: Measured, after: Measured) -> tuple[str, str, str, str, str]:
    def cell(measured: Measured) -> tuple[str, str]:
        r = measured.readings[name]
        interval = "" if math.isnan(r.low) else f"{show(name, r.low)} to {show(name, r.high)}"
        return show(name, r.value), interval

    floor = before.readings[name].floor
    return METRICS[name].title, *cell(before), cell(after)[0], "" if math.isnan(floor) else show(name, floor)


def _stages(comparison: Comparison) -> list[tuple[str, list[tuple[str, list[tuple[str, bool]], str]], list[str]]]:
    """Return, for each stage, its title, its rows (loss, cells, temperature), and the range of each noise floor."""
    found = []
    for stage in STAGES:
        rows = []
        for row in comparison.rows:
            values = row.at(stage)
            cells = [(format_value(c, values[c]), values[c].best) for c in COLUMNS]
            rows.append((row.loss, cells, format_temperature(row)))
        title = "as trained" if stage == "before" else f"after {comparison.method}"
        found.append((title, rows, [format_floors(comparison, stage, c) for c in COLUMNS]))
    return found
