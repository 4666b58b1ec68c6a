"""`surefoot train`: one network, one loss, files that everything else reads."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli.names import CALIBRATORS, LOSSES, MODELS, RECIPES
from surefoot.cli.options import DataFolder, DataName, Json, Keep, Seed, TrainRows

if TYPE_CHECKING:
    from surefoot.metrics import Reading


def command(
    data: DataName = "digits",
    folder: DataFolder = None,
    train_rows: TrainRows = None,
    model: Annotated[str, typer.Option(help=f"One of: {', '.join(MODELS)}.")] = "small-cnn",
    loss: Annotated[str, typer.Option(help=f"One of: {', '.join(LOSSES)}.")] = "ce",
    recipe: Annotated[str, typer.Option(help=f"How to optimise: {', '.join(RECIPES)}.")] = "quick",
    epochs: Annotated[Optional[int], typer.Option(min=1, help="Other than the recipe's.")] = None,
    keep: Keep = None,
    l1: Annotated[float, typer.Option(min=0, help="Weight of the l1 norm of the weights: for `compress`.")] = 0.0,
    adversarial: Annotated[
        float, typer.Option(min=0, help="Train on the worst inputs within this distance: for `verify`.")
    ] = 0.0,
    method: Annotated[str, typer.Option(help=f"The calibrator to learn: {', '.join(CALIBRATORS)}.")] = "temperature",
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")] = Path("runs/train"),
    accelerator: Annotated[str, typer.Option(help="As lightning.Trainer's.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="As lightning.Trainer's.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="As lightning.Trainer's num_nodes.")] = 1,
    precision: Annotated[
        Optional[str],
        typer.Option(help="As lightning.Trainer's: 32-true, bf16-mixed, ... Default: the recipe's."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train one network with one loss, and learn the calibrator that repairs its confidence.

    Leaves in the folder: `predictions.parquet` (validation and test part, for `measure`, `recalibrate`, `report`),
    `model.safetensors` (for `predict`), `map.json` (for `measure --map`), `run.json`, `log/metrics.csv` (for
    `explain`). A run that was stopped goes on from its last epoch. Why cross entropy and a temperature are the
    defaults: docs/decisions/0009.

    Example: surefoot train --loss flsd-53 -o runs/mine && surefoot report runs/mine/predictions.parquet
    """
    from surefoot.core.plain import plain
    from surefoot.metrics import METRICS, measure
    from surefoot.recalibrate import find_calibrator, save_calibrator
    from surefoot.train import cells, find_recipe, run_cell

    calibrator = find_calibrator(method)()
    how = replace(find_recipe(recipe, epochs, keep, data), l1=l1, adversarial=adversarial)
    (cell,) = cells([data], [model], [loss], how, [seed], folder=folder, train_rows=train_rows)
    options = {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": nodes,
        "precision": precision or how.precision,
        "enable_progress_bar": sys.stderr.isatty() and not as_json,
    }
    predictions = run_cell(cell, out, options)
    held_out, test = predictions.part("validation"), predictions.part("test")
    save_calibrator(calibrator.fit_table(held_out), out / "map.json")
    wanted = [METRICS[name] for name in ("accuracy", "nll", "ece")]
    before = measure([(test.scored(), test.labels)], wanted)
    after = measure([(calibrator.predict_scored(test.logits()), test.labels)], wanted)
    files = {"predictions": str(out / "predictions.parquet"), "map": str(out / "map.json")}
    if as_json:
        answer = {"n": test.n, "k": test.k} | files | plain(before) | {"recalibrated": plain(after)}
        print(json.dumps(answer, allow_nan=False))
        return
    print(f"{loss} on {cell.data}, {test.n:,} test rows: {_shown(before)}; after {method}: {_shown(after)}.")
    print(f"Predictions: {files['predictions']}. Calibrator: {files['map']}.")


def _shown(readings: "dict[str, Reading]") -> str:
    from surefoot.metrics import METRICS
    from surefoot.report.readings import show

    return ", ".join(f"{METRICS[name].title} {show(name, r.value)}" for name, r in readings.items())
