"""`surefoot compare`: the table of Mukhoti et al. 2020, trained here."""

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.cli.arguments import names_in
from surefoot.cli.names import CALIBRATORS, LOSSES, MODELS, RECIPES
from surefoot.cli.options import Cluster, DataFolder, DataName, Json, Keep, TrainRows

_PAPER = "ce,brier,mmce-w-ref,ls,fl-3,flsd-53"  # the reference variant is what the paper trained


def command(
    data: DataName = "digits",
    folder: DataFolder = None,
    train_rows: TrainRows = None,
    model: Annotated[str, typer.Option(help=f"One of: {', '.join(MODELS)}.")] = "small-cnn",
    losses: Annotated[str, typer.Option(help=f"Separated by commas, of: {', '.join(LOSSES)}.")] = _PAPER,
    seeds: Annotated[int, typer.Option(min=1, help="How many trainings of each loss.")] = 3,
    recipe: Annotated[str, typer.Option(help=f"How to optimise: {', '.join(RECIPES)}.")] = "quick",
    epochs: Annotated[Optional[int], typer.Option(min=1, help="Other than the recipe's.")] = None,
    keep: Keep = None,
    method: Annotated[str, typer.Option(help=f"The calibrator: {', '.join(CALIBRATORS)}.")] = "temperature",
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    cluster: Cluster = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of runs, table and page.")] = Path("runs/compare"),
    as_json: Json = False,
) -> None:
    """Train losses side by side and print the table of Mukhoti et al. 2020.

    Every loss is trained from the same seeds on the same rows, recalibrated on the validation part, and measured on
    the test part before and after. A loss is marked best only where paired tests find it significantly better than
    every other. Runs that are there are not repeated: stop and start as you like. Leaves `report.html`,
    `comparison.json` and one folder a run with weights and predictions.

    Example: surefoot compare --losses ce,flsd-53 --seeds 2 --jobs 2
    """
    from rich.console import Console

    from surefoot.cli.matrix import run_with_bar
    from surefoot.core.files import write_json
    from surefoot.core.plain import plain
    from surefoot.evaluate.comparison import compare
    from surefoot.evaluate.diagnosis import advice, diagnose
    from surefoot.recalibrate import find_calibrator
    from surefoot.report.page import write_page
    from surefoot.report.tables import comparison_tables, footnote
    from surefoot.train import cells, find_recipe, results_by_loss

    names = names_in(losses)
    find_calibrator(method)  # a wrong name is refused before anything is trained
    how = find_recipe(recipe, epochs, keep, data)
    matrix = cells([data], [model], names, how, range(seeds), folder=folder, train_rows=train_rows)
    runs = run_with_bar(matrix, out, jobs, cluster)
    title = f"{model} on {Path(data).stem}"
    comparison = compare(results_by_loss(runs), method, title)
    write_json(out / "comparison.json", {"schema": "surefoot.comparison/1", **plain(comparison)})
    write_page(out / "report.html", f"Which loss knows how sure it is? {title}", list(comparison.examples), comparison)
    if as_json:
        json.dump(plain(comparison), sys.stdout, indent=2, allow_nan=False)
        print()
        return
    printer = Console(width=max(Console().width, 108))  # the widest table, whole also in a pipe
    printer.print(f"\n[bold]{title}[/bold], {len(names)} losses, {seeds} seed{'s' * (seeds > 1)} each\n")
    for table in comparison_tables(comparison):
        printer.print(table)
    printer.print(footnote(comparison), "\n")
    printer.print(f"{comparison.recommendation.sentence}\n")
    for example in comparison.examples:
        printer.print(f"[bold]{example.title}[/bold]: {diagnose(example.before)} {advice(example)}")
    printer.print(f"\nPage: {out / 'report.html'}")
