"""The HTML page: one file, no network, readable in the dark and on a phone."""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
import plotly.io
from plotly.offline import get_plotlyjs

from surefoot import __version__
from surefoot.core.files import write_text
from surefoot.metrics import METRICS
from surefoot.report.comparison import COLUMNS, Comparison, Value
from surefoot.report.evaluation import Evaluation, Measured, plain
from surefoot.report.figures import figure_of
from surefoot.report.tables import footnote, show
from surefoot.report.verdict import advice, diagnosis, direction

_COLUMN_TITLES = {"error": "error"} | {c: METRICS[c].title for c in COLUMNS if c != "error"}


@dataclass(frozen=True)
class _Section:
    """One model on the page."""

    title: str
    direction: str
    sentences: tuple[str, str]
    figure: str
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
        comparison=_rows(comparison) if comparison else None,
        columns=[_COLUMN_TITLES[c] for c in COLUMNS],
        method=evaluations[0].method if evaluations else "",
        footnote=footnote(comparison) if comparison else "",
        results=json.dumps(results, allow_nan=False).replace("<", "\\u003c"),
    )
    write_text(path, text)


def _section(evaluation: Evaluation, number: int) -> _Section:
    figure = plotly.io.to_html(
        figure_of(evaluation), full_html=False, include_plotlyjs=False, div_id=f"figure-{number}",
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )  # fmt: skip
    readings = [_reading(name, evaluation.before, evaluation.after) for name in METRICS]
    sentences = (diagnosis(evaluation.before), advice(evaluation))
    return _Section(evaluation.title, direction(evaluation.before), sentences, figure, readings)


def _reading(name: str, before: Measured, after: Measured) -> tuple[str, str, str, str, str]:
    def cell(measured: Measured) -> tuple[str, str]:
        r = measured.readings[name]
        interval = "" if r.low != r.low else f"{show(name, r.low)} to {show(name, r.high)}"
        return show(name, r.value), interval

    floor = before.readings[name].floor
    return METRICS[name].title, *cell(before), cell(after)[0], "" if floor != floor else show(name, floor)


def _rows(comparison: Comparison) -> list[tuple[str, list[tuple[str, bool]], str]]:
    def cell(column: str, value: Value) -> tuple[str, bool]:
        percent = column != "nll"
        scale, digits = (100, 2) if percent else (1, 3)
        half = "" if value.half_width != value.half_width else f" ± {scale * value.half_width:.{digits}f}"
        return f"{scale * value.mean:.{digits}f}{half}", value.best

    rows = []
    for row in comparison.rows:
        cells = [cell(c, row.before[c]) for c in COLUMNS] + [cell(c, row.after[c]) for c in COLUMNS]
        t = row.temperature.mean
        rows.append((row.loss, cells, "–" if t != t else f"{t:.2f}"))
    return rows
