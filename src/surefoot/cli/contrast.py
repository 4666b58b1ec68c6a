"""`surefoot contrast`: which of several calibrators or models is better on the same rows, if any."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from surefoot.cli.options import Json, Seed
from surefoot.core.errors import InputError
from surefoot.core.precision import Zeros
from surefoot.core.predictions import Predictions
from surefoot.core.scored import Scored
from surefoot.core.tables import load_predictions
from surefoot.core.types import Labels
from surefoot.evaluate.contrast import Contrast, contrast
from surefoot.evaluate.evaluation import divide, plain
from surefoot.metrics import METRICS, find_metric
from surefoot.recalibrate import find_calibrator
from surefoot.report.tables import show


def command(
    tables: Annotated[list[str], typer.Argument(help="One table and --methods, or several tables of the same rows.")],
    methods: Annotated[
        str, typer.Option(help="Maps between commas, learnt on the held-out part and compared on the rest.")
    ] = "",
    metrics: Annotated[str, typer.Option(help="Names between commas.")] = "nll,brier,ece,ks",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Tell calibrators or models apart on the same rows.

    Every pair is compared by a paired bootstrap of the rows and one row more (errors that were not seen may occur);
    p-values are adjusted for the number of pairs (Holm). With one table,
    its calibrators are learnt on the `validation` part (or a random half) and compared on the other. Several tables are
    compared as they are, on their `test` parts if they have them.

    Example: surefoot contrast mine.parquet --methods none,temperature,spline,auto
    """
    probs, labels, zeros = _of_maps(tables[0], methods, seed) if methods else _of_models(tables)
    found = contrast(probs, labels, [find_metric(name.strip()) for name in metrics.split(",")], seed)
    if as_json:
        for name, stored in zeros.items():  # beside the list, whose form is read by others
            print(f"surefoot: {name}: {stored.sentence}", file=sys.stderr)
        print(json.dumps([plain(c) | {"better": c.better} for c in found], indent=2, allow_nan=False))
        return
    console = Console()
    console.print(_layout(found, len(labels), shortened(list(probs))))
    for name, stored in zeros.items():
        console.print(f"{name}: {stored.sentence}")
    console.print("Better: at 5%, p-values adjusted for the number of pairs (Holm).")


def _of_maps(table: str, methods: str, seed: int) -> tuple[dict[str, Scored], Labels, dict[str, Zeros]]:
    fitted_on, tested = divide(load_predictions(table), None, seed)
    names = [name.strip() for name in methods.split(",")]
    _refuse_twice(names, "calibrator")
    made = {name: find_calibrator(name)().fit(fitted_on.logits(), fitted_on.labels) for name in names}
    return {name: m.predict_scored(tested.logits()) for name, m in made.items()}, tested.labels, _zeros({table: tested})


def _of_models(tables: list[str]) -> tuple[dict[str, Scored], Labels, dict[str, Zeros]]:
    if len(tables) < 2:
        raise InputError("one table needs --methods: which maps to compare on it")
    _refuse_twice([str(Path(name)) for name in tables], "table")
    loaded = {name: _tested(load_predictions(name)) for name in tables}
    first = loaded[tables[0]]
    for name, part in loaded.items():
        if part.n != first.n or (part.labels != first.labels).any():
            raise InputError(f"{name} is not of the same rows as {tables[0]}: the labels differ")
    return {name: part.scored() for name, part in loaded.items()}, first.labels, _zeros(loaded)


def _zeros(loaded: dict[str, Predictions]) -> dict[str, Zeros]:
    return {name: part.zeros for name, part in loaded.items() if part.zeros is not None}


def _tested(table: Predictions) -> Predictions:
    return table.part("test") if "test" in table.parts else table


def shortened(names: list[str]) -> dict[str, str]:
    """Leave out the folders, and the ending, that all names share: they are still told apart.

    >>> shortened(["runs/x/one/p.parquet", "runs/x/two/p.parquet"])
    {'runs/x/one/p.parquet': 'one', 'runs/x/two/p.parquet': 'two'}
    """
    parts = [name.rstrip("/").split("/") for name in names]
    for end in (0, -1):
        while all(len(part) > 1 for part in parts) and len({part[end] for part in parts}) == 1:
            parts = [part[1:] if end == 0 else part[:-1] for part in parts]
    short = ["/".join(part) for part in parts]
    bare = [name.rpartition(".")[0] for name in short]
    if all(bare) and len({name.rpartition(".")[2] for name in short}) == 1:
        short = bare
    return dict(zip(names, short if len(set(short)) == len(set(names)) else names, strict=True))


def _refuse_twice(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is the same {what} twice: give two of them")


def _layout(found: list[Contrast], n: int, short: dict[str, str]) -> Table:
    table = Table(title=f"{n:,} rows", title_justify="left")
    for heading in ("metric", "a", "b", "a - b", "95% interval", "p adjusted", "better"):
        justify = "left" if heading in ("metric", "a", "b", "better") else "right"
        table.add_column(heading, justify=justify, overflow="fold")  # a name that is cut may be another's
    for c in found:
        interval = c.note or f"{show(c.metric, c.low)} to {show(c.metric, c.high)}"
        better = "cannot be told" if c.better is None else short[c.better]
        title = METRICS[c.metric].title
        table.add_row(
            title, short[c.a], short[c.b], show(c.metric, c.difference), interval, show("pvalue", c.adjusted), better
        )
    return table
