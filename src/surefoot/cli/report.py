"""`surefoot report`: the page, for a model trained anywhere."""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.cli.names import CALIBRATORS
from surefoot.cli.options import Json, LabelsPath, Scores, Seed, TablePath


def command(
    table: TablePath,
    calibration: Annotated[
        Optional[Path],
        typer.Option(
            help="Predictions to learn the calibrator on. Default: the table's `validation` part, or a random half."
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"The calibrator: {', '.join(CALIBRATORS)}.")] = "temperature",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the page.")] = Path("report.html"),
    title: Annotated[Optional[str], typer.Option(help="The page's title; default: the table's name.")] = None,
    labels: LabelsPath = None,
    scores: Scores = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure, recalibrate, and write one HTML page that says what to do.

    For a model trained anywhere: a table of logits (or probabilities) and labels is enough. The calibrator is learnt on
    one part of the rows and judged on the other.

    Example: surefoot report mine.parquet -o report.html
    """
    from rich.console import Console

    from surefoot.core.plain import plain
    from surefoot.core.tables import load_predictions
    from surefoot.evaluate.diagnosis import advice, diagnose, direction, notes
    from surefoot.evaluate.evaluation import evaluate
    from surefoot.report.page import write_page
    from surefoot.report.readings import readings_table

    predictions = load_predictions(table, labels, scores)
    held_out = load_predictions(calibration, None, scores) if calibration is not None else None
    name = title or Path(table).stem
    evaluation, _ = evaluate(predictions, method, held_out, name, seed)
    write_page(out, f"How sure is {name}?", [evaluation])
    sentences = [diagnose(evaluation.before), advice(evaluation)]
    if as_json:
        content = {"verdict": direction(evaluation.before), "sentences": sentences, "page": str(out)}
        print(json.dumps(content | plain(evaluation), indent=2, allow_nan=False))
        return
    console = Console()
    for stage, measured in (("as it is", evaluation.before), (f"after {method}", evaluation.after)):
        console.print(readings_table(measured.readings, f"{name}, {stage} — {measured.n:,} rows, {measured.k} classes"))
    console.print(*sentences, *notes(evaluation.zeros, evaluation.at_bound, evaluation.fitted_right), sep="\n")
    console.print(f"\nPage: {out}")
