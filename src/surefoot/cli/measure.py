"""`surefoot measure`: every reading of a table, with its interval and noise floor."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from surefoot.cli.options import Json, LabelsPath, Scores, Seed, TablePath
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions, iter_predictions
from surefoot.core.types import Labels, Probs
from surefoot.metrics import METRICS, measure
from surefoot.recalibrate import load_recalibrator
from surefoot.report.evaluation import plain
from surefoot.report.tables import readings_table


def command(
    table: TablePath,
    labels: LabelsPath = None,
    scores: Scores = None,
    split: Annotated[Optional[str], typer.Option(help="Measure only this part, such as test.")] = None,  # noqa: UP045
    recalibrator: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--map", help="Apply this map first (a file that `surefoot recalibrate` wrote)."),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Leave intervals and noise floors out.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure calibration from a table of logits or probabilities and labels.

    Prints accuracy, NLL, Brier score, ECE (15 bins, open below, closed above; also debiased), adaptive and classwise
    ECE, MCE, RMSCE, KS error with its p-value, AUROC of correctness: each with a 95% bootstrap interval and the noise
    floor, what a perfectly calibrated model with the same confidences would show on as many rows. Parquet is read in
    batches, in constant memory. Fractions in JSON, percent in the table; NaN is null.

    Example: surefoot measure predictions.parquet --split test --json
    """
    size = {"n": 0, "k": 0}

    def batches() -> Iterator[tuple[Probs, Labels]]:
        for batch in iter_predictions(table, labels, scores):
            part = _part(batch, split)
            if part is not None:
                size["n"], size["k"] = size["n"] + part.n, part.k
                yield (loaded.predict_proba(part.logits()) if loaded else part.probs()), part.labels

    loaded = load_recalibrator(recalibrator) if recalibrator else None
    try:
        readings = measure(batches(), METRICS.values(), intervals=not fast, floors=not fast, seed=seed)
    except InputError as error:
        if split is not None and not size["n"]:
            raise InputError(f"{table}: no row belongs to the part {split!r}") from error
        raise
    if as_json:
        print(json.dumps(size | plain(readings), indent=2, allow_nan=False))
    else:
        Console().print(readings_table(readings, f"{table.name} — {size['n']:,} rows, {size['k']} classes"))


def _part(batch: Predictions, split: str | None) -> Predictions | None:
    if split is None:
        return batch
    return batch.part(split) if split in batch.parts else None
