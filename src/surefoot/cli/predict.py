"""`surefoot predict`: logits of a trained network, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.options import DataFolder, DataName
from surefoot.core.errors import InputError
from surefoot.core.predictions import save_predictions
from surefoot.data import load_data
from surefoot.train import load_model, predictions_of


def command(
    model: Annotated[Path, typer.Argument(help="The `model.pt` of a run.")],
    data: DataName = "digits",
    folder: DataFolder = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write (.parquet or .npz).")] = Path(
        "predictions.parquet"
    ),
) -> None:
    """Predict with a trained network; leave a table of logits.

    The table holds the validation and test part of the data, as `surefoot train` divides it.

    Example: surefoot predict runs/mine/model.pt -o predictions.parquet
    """
    network = load_model(model)
    rows = load_data(data, folder=folder)
    try:
        predictions = predictions_of(network, rows, {"model": str(model), "data": data})
    except RuntimeError as error:  # PyTorch's own words on shapes that do not fit
        raise InputError(f"{model} does not fit the inputs of {data}, shape {rows.shape}: {error}") from error
    save_predictions(predictions, out)
    print(f"{predictions.n:,} rows of logits, {predictions.k} classes: {out}")
