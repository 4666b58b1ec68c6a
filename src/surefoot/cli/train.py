"""`surefoot train`: one network, one loss, files that everything else reads."""

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.cli.options import DataFolder, DataName, Json, Keep, Seed, TrainRows
from surefoot.losses import LOSSES
from surefoot.metrics import METRICS, measure
from surefoot.models import MODELS
from surefoot.report.evaluation import plain
from surefoot.train import RECIPES, cells, find_recipe, run_cell


def command(
    data: DataName = "digits",
    folder: DataFolder = None,
    train_rows: TrainRows = None,
    model: Annotated[str, typer.Option(help=f"One of: {', '.join(MODELS)}.")] = "small-cnn",
    loss: Annotated[str, typer.Option(help=f"One of: {', '.join(LOSSES)}.")] = "flsd-53",
    recipe: Annotated[str, typer.Option(help=f"How to optimise: {', '.join(RECIPES)}.")] = "quick",
    epochs: Annotated[Optional[int], typer.Option(min=1, help="Other than the recipe's.")] = None,  # noqa: UP045
    keep: Keep = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")] = Path("runs/train"),
    accelerator: Annotated[str, typer.Option(help="As lightning.Trainer's.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="As lightning.Trainer's.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="As lightning.Trainer's num_nodes.")] = 1,
    precision: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="As lightning.Trainer's: 32-true, bf16-mixed, ... Default: the recipe's."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train one network with one loss; leave weights and predictions.

    Leaves in the folder: `predictions.parquet` (validation and test part, for `measure`, `recalibrate`, `report`),
    `model.pt` (for `predict`), `run.json`, `log/metrics.csv`. A run that was stopped goes on from its last epoch.

    Example: surefoot train --loss flsd-53 -o runs/mine && surefoot report runs/mine/predictions.parquet
    """
    how = find_recipe(recipe, epochs, keep, data)
    (cell,) = cells([data], [model], [loss], how, [seed], folder=folder, train_rows=train_rows)
    options = {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": nodes,
        "precision": precision or how.precision,
        "enable_progress_bar": sys.stderr.isatty() and not as_json,
    }
    predictions = run_cell(cell, out, options)
    test = predictions.part("test")
    wanted = [METRICS[name] for name in ("accuracy", "nll", "ece")]
    readings = measure([(test.probs(), test.labels)], wanted)
    if as_json:
        print(json.dumps({"n": test.n, "k": test.k, "predictions": str(out / "predictions.parquet")} | plain(readings)))
        return
    found = ", ".join(f"{METRICS[name].title} {r.value:.4f}" for name, r in readings.items())
    print(f"{loss} on {cell.data}: {found} on {test.n:,} test rows. Predictions: {out / 'predictions.parquet'}")
