"""`surefoot predict`: logits of a trained network, as a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.options import DataFolder, DataName
from surefoot.core.errors import InputError


def command(
    model: Annotated[Path, typer.Argument(help="The `model.safetensors` of a run.")],
    data: DataName = "digits",
    folder: DataFolder = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write (.parquet or .npz).")] = Path(
        "predictions.parquet"
    ),
    refuse: Annotated[bool, typer.Option("--refuse", help="Write nothing if an input is outside of the box.")] = False,
) -> None:
    """Predict with a trained network; leave a table of logits.

    The table holds the validation and test part of the data, as `surefoot train` divides it. Inputs outside of the box
    that the network was trained on (each feature's range, or each channel's) are counted: there it extrapolates, and a
    polynomial of degree N as the N-th power.

    Example: surefoot predict runs/mine/model.safetensors -o predictions.parquet
    """
    from surefoot.core.predictions import save_predictions
    from surefoot.data import load_data
    from surefoot.train import load_box, load_model, outside, predictions_of

    network = load_model(model)
    rows = load_data(data, folder=folder)
    try:
        predictions = predictions_of(network, rows, {"model": str(model), "data": data})
    except RuntimeError as error:  # PyTorch's own words on shapes that do not fit
        raise InputError(f"{model} does not fit the inputs of {data}, shape {rows.shape}: {error}") from error
    box = load_box(model)
    beyond = int(sum(outside(part, box).sum() for part in (rows.validation, rows.test)))
    if beyond:
        warning = f"{beyond:,} of {predictions.n:,} inputs lie outside of the box of inputs that {model} was trained on"
        if refuse:
            raise InputError(warning)
        print(f"surefoot: {warning}: its confidence there means nothing", file=sys.stderr)
    save_predictions(predictions, out)
    print(f"{predictions.n:,} rows of logits, {predictions.k} classes: {out}")
