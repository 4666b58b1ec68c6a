"""The HTML page: one file that works offline, readable in the dark and on a phone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import plotly.io
from plotly.offline import get_plotlyjs

from surefoot import __version__
from surefoot.core.files import write_text
from surefoot.core.plain import plain
from surefoot.core.proven import percent_span, span
from surefoot.evaluate.comparison import COLUMNS, STAGES, Comparison
from surefoot.evaluate.diagnosis import advice, diagnose, direction, notes
from surefoot.evaluate.evaluation import Evaluation, Measured
from surefoot.evaluate.training_log import TrainingLog, sentences_of
from surefoot.metrics import METRICS
from surefoot.report.figures import AFTER, BEFORE, figure_of, training_figures
from surefoot.report.readings import show, show_floor, show_interval
from surefoot.report.tables import footnote, format_floors, format_temperature, format_value

_COLUMN_TITLES = {"error": "error"} | {c: METRICS[c].title for c in COLUMNS if c != "error"}


@dataclass(frozen=True)
class _Section:
    """One model on the page."""

    title: str
    direction: str
    sentences: tuple[str, ...]
    figures: list[str]
    readings: list[tuple[str, ...]]


def write_page(
    path: Path | str, title: str, evaluations: list[Evaluation], comparison: Comparison | None = None
) -> None:
    """Write the page of one or several evaluated models, with the comparison's table on top if there is one."""
    sections = [_section(evaluation, number) for number, evaluation in enumerate(evaluations)]
    results = {"title": title, "evaluations": plain(evaluations), "comparison": plain(comparison)}
    render(
        path,
        "page.html",
        title,
        results,
        sections=sections,
        stages=_stages(comparison) if comparison else None,
        columns=[_COLUMN_TITLES[c] for c in COLUMNS],
        method=evaluations[0].method if evaluations else "",
        footnote=footnote(comparison) if comparison else "",
        recommendation=comparison.recommendation.sentence if comparison else "",
    )


def write_training_page(path: Path | str, title: str, log: TrainingLog) -> None:
    """Write the page of one training run: what NLL, entropy, confidence and norms did, and when over-fitting began."""
    figures = [html_of(figure, f"figure-{i}") for i, figure in enumerate(training_figures(log))]
    results = {"title": title, "log": plain(log.columns)}
    render(path, "training.html", title, results, sentences=sentences_of(log), figures=figures)


def render(
    path: Path | str, template: str, title: str, results: dict[str, Any], by_plotly: bool = True, **parts: Any
) -> None:
    """Write a page from a template of this folder, with its numbers in it as JSON; `by_plotly`: it has such figures."""
    loader = jinja2.PackageLoader("surefoot", "report")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"percent_span": percent_span, "span": span}
    data = json.dumps(results, allow_nan=False).replace("<", "\\u003c")
    text = environment.get_template(template).render(
        title=title, version=__version__, plotly=get_plotlyjs() if by_plotly else "", results=data, **parts
    )
    write_text(path, text)


def html_of(figure: Any, name: str) -> str:
    """Return a figure as a part of a page."""
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    return plotly.io.to_html(figure, full_html=False, include_plotlyjs=False, div_id=name, config=config)


def _section(evaluation: Evaluation, number: int) -> _Section:
    stages = ((evaluation.before, "as it is", BEFORE), (evaluation.after, f"after {evaluation.method}", AFTER))
    figures = [
        html_of(figure_of(measured.curve, title, colour), f"figure-{number}-{stage}")
        for stage, (measured, title, colour) in enumerate(stages)
    ]
    readings = [reading_cells(name, evaluation.before, evaluation.after) for name in evaluation.before.readings]
    sentences = (
        diagnose(evaluation.before),
        advice(evaluation),
        *notes(evaluation.zeros, evaluation.at_bound, evaluation.fitted_right),
    )
    return _Section(evaluation.title, direction(evaluation.before), sentences, figures, readings)


def reading_cells(name: str, before: Measured, after: Measured) -> tuple[str, ...]:
    """Return a metric's title, and before and after the calibrator its value, interval and own noise floor."""
    readings = [measured.readings[name] for measured in (before, after)]
    cells = [(show(name, r.value), show_interval(name, r), show_floor(name, r)) for r in readings]
    return METRICS[name].title, *cells[0], *cells[1]


def _stages(comparison: Comparison) -> list[tuple[str, list[tuple[str, list[tuple[str, bool]], str]], list[str]]]:
    """Return, for each stage, its title, its rows (loss, cells, temperature), and the range of each noise floor."""
    stages = []
    for stage in STAGES:
        rows = []
        for row in comparison.rows:
            values = row.at(stage)
            cells = [(format_value(c, values[c]), values[c].best) for c in COLUMNS]
            rows.append((row.loss, cells, format_temperature(row)))
        title = "as trained" if stage == "before" else f"after {comparison.method}"
        stages.append((title, rows, [format_floors(comparison, stage, c) for c in COLUMNS]))
    return stages
