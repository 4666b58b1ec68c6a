"""`surefoot reproduce`: one of the paper's tables, trained here, beside the published numbers."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli.arguments import names_in
from surefoot.cli.names import MODELS, PAPER_LOSSES, RECIPES, TABLES
from surefoot.cli.options import Cluster, DataFolder, DataName, Json, TrainRows
from surefoot.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from surefoot.evaluate.reproduction import Entry

_CHALLENGERS = ("flsd-53", "fl-3", "dual-focal", "adafocal")
_BASELINES = ("ce", "brier", "mmce-w-ref", "ls")
_SHOWN = {"cannot be told apart": "indistinguishable"}  # the other words are shown as files have them


def command(
    table: Annotated[str, typer.Argument(help=f"One of: {', '.join(TABLES)}.")],
    data: DataName = "cifar10",
    folder: DataFolder = None,
    train_rows: TrainRows = None,
    model: Annotated[str, typer.Option(help=f"One of: {', '.join(MODELS)}.")] = "resnet50",
    losses: Annotated[str, typer.Option(help="Separated by commas.")] = ",".join(PAPER_LOSSES),
    seeds: Annotated[int, typer.Option(min=1, help="How many trainings of each loss; the paper has one.")] = 3,
    recipe: Annotated[str, typer.Option(help=f"How to optimise: {', '.join(RECIPES)}.")] = "paper",
    epochs: Annotated[Optional[int], typer.Option(min=1, help="Other than the recipe's.")] = None,
    ood: Annotated[
        Optional[Path],
        typer.Option(
            "--ood",
            "--strange",
            help="For ood-auroc: folder of SVHN (test_32x32.mat) or CIFAR-10-C (*.npy); default: made noise.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    cluster: Cluster = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of runs and table.")] = Path("runs/reproduce"),
    as_json: Json = False,
) -> None:
    """Train what a table of Mukhoti et al. 2020 needs, and print it beside the published numbers.

    Each number gets a verdict: reproduced (its interval lies within what two runs of the paper's code lie apart), not
    reproduced, or indistinguishable; numbers of another recipe, network or number of rows get none. Below stands
    what paired tests say of the paper's claim. Runs that are there are not repeated; `surefoot compare` shares them.

    Example: surefoot reproduce ece --data cifar10 --folder cifar-10-batches-py --jobs 2
    """
    from rich.console import Console

    from surefoot.cli.matrix import run_with_bar
    from surefoot.core.files import write_json
    from surefoot.core.plain import plain
    from surefoot.data import load_data, ood_parts
    from surefoot.evaluate.comparison import compare
    from surefoot.evaluate.ood import ood_values
    from surefoot.evaluate.reproduction import claims_of, entries, values_of
    from surefoot.train import cells, find_recipe, results_by_loss

    if table not in TABLES:
        raise InputError(f"no table is called {table!r}; there are: {', '.join(TABLES)}")
    how = find_recipe(recipe, epochs, data=data)
    matrix = cells([data], [model], names_in(losses), how, range(seeds), folder=folder, train_rows=train_rows)
    known = load_data(data, 0, folder)
    parts = ood_parts(known, ood) if table == "ood-auroc" else {}
    runs = run_with_bar(matrix, out, jobs, cluster)
    same_recipe = recipe == "paper" and epochs is None and train_rows is None
    claims = []
    if parts:
        values = ood_values(runs, out, parts, known.prepare)
        rows = {
            f"{table} against {name} by {score}": entries(
                table, data, model, values[name, score], same_recipe, comparable=(name, score) == ("svhn", "entropy")
            )
            for name, score in values
        }
    else:
        comparison = compare(results_by_loss(runs), "temperature", f"{model} on {data}")
        claims = claims_of(comparison, _CHALLENGERS, _BASELINES)
        rows = {table: entries(table, data, model, values_of(comparison, table), same_recipe)}
    result = {"schema": "surefoot.reproduction/1", "table": table, "data": data, "model": model, "rows": plain(rows)}
    result["claims"] = [plain(claim) | {"sentence": claim.sentence} for claim in claims]
    write_json(out / f"{table}.json", result)
    if as_json:
        json.dump(result, sys.stdout, indent=2, allow_nan=False)
        print()
        return
    console = Console(width=max(Console().width, 100))
    for title, part in rows.items():
        console.print(_table(table, part, f"{title}: {model} on {data}, {seeds} seeds"))
    for claim in claims:
        console.print(f"- {claim.sentence}")


def _table(name: str, rows: "list[Entry]", title: str) -> "Table":
    from rich.table import Table

    from surefoot.report.tables import with_interval

    table = Table(title=title, title_justify="left")
    for heading in ("loss", "temperature", "here", "published", "verdict"):
        table.add_column(heading, justify="right" if heading in ("here", "published") else "left")
    digits = 3 if name == "nll" else 2
    for row in rows:
        target = "–" if row.published is None else f"{row.published:.{digits}f}{' (from memory)' * row.from_memory}"
        here, verdict = with_interval(row.mean, row.low, row.high, digits), _SHOWN.get(row.verdict, row.verdict)
        table.add_row(row.loss, row.stage, here, target, verdict)
    return table
