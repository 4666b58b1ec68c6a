"""`surefoot recalibrate`: learn a calibrator on held-out rows, keep it, apply it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli.names import CALIBRATORS
from surefoot.cli.options import Json, LabelsPath, Scores, TablePath
from surefoot.core.errors import InputError
from surefoot.core.files import whole_files

if TYPE_CHECKING:
    from surefoot.core.predictions import Predictions
    from surefoot.recalibrate import Calibrator


def command(
    table: TablePath,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(CALIBRATORS)}.")] = "temperature",
    gamma: Annotated[
        Optional[float],
        typer.Option(help="The gamma that the network was trained with, for the focal-undo calibrators."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the calibrator.")] = Path("map.json"),
    apply_to: Annotated[
        Optional[Path],
        typer.Option("--apply", help="Predictions to apply the calibrator to; default: the table itself."),
    ] = None,
    predictions: Annotated[
        Optional[Path],
        typer.Option(help="Write recalibrated probabilities here (.parquet or .npz)."),
    ] = None,
    onnx: Annotated[
        Optional[Path],
        typer.Option(help="Write the calibrator as an ONNX graph, too: from `logits` to `probs`."),
    ] = None,
    labels: LabelsPath = None,
    scores: Scores = None,
    as_json: Json = False,
) -> None:
    """Learn a calibrator that repairs confidence; write it, and apply it.

    The calibrator is learnt on the table's `validation` part, or on all its rows if it has no parts (then measure it
    on another table): rows that the network was not trained on. It is a small JSON file; `surefoot measure --map` and
    `--predictions` apply it, `surefoot export` appends it to a network. `--method auto` tries a ladder of calibrators
    on held-out fifths, and takes the simplest that is as good as the best.

    Example: surefoot recalibrate predictions.parquet -o map.json && surefoot measure predictions.parquet --split test
    --map map.json
    """
    for path, ends, what in (
        (predictions, (".parquet", ".npz"), "predictions are written as .parquet or .npz"),
        (onnx, (".onnx",), "an ONNX graph is written as .onnx"),
    ):
        if path is not None and path.suffix not in ends:
            raise InputError(f"{what}, got {path}")

    from surefoot.core.precision import smallest
    from surefoot.core.predictions import save_predictions
    from surefoot.core.tables import load_predictions
    from surefoot.recalibrate import find_calibrator, save_calibrator

    source = load_predictions(table, labels, scores)
    held_out = source.part("validation") if source.split is not None else source
    if gamma is not None and not method.startswith("focal-undo"):
        raise InputError(f"--gamma belongs to the focal-undo calibrators, not to {method!r}")
    make = find_calibrator(method)
    calibrator = (make() if gamma is None else make(gamma=gamma)).fit_table(held_out)
    written = None
    if predictions is not None:
        target = (
            source
            if apply_to is None
            else load_predictions(apply_to, labels if apply_to.suffix == ".npy" else None, scores)
        )
        repaired = calibrator.predict_scored(target.logits()).probs
        about = target.provenance | {"recalibrator": method}
        zeros = None if target.zeros is None else target.floor
        written = replace(
            target, scores=repaired, kind="probs", provenance=about, resolution=smallest(repaired.dtype),
            zeros_count_as=zeros,
        )  # fmt: skip
    elif apply_to is not None:
        raise InputError("--apply needs --predictions: where to write the recalibrated probabilities")
    with whole_files(predictions, onnx, out) as (for_rows, for_graph, for_map):  # all or none
        if written is not None and for_rows is not None:
            save_predictions(written, for_rows)
        if for_graph is not None:
            from surefoot.recalibrate.onnx import calibrator_to_onnx, save_onnx

            save_onnx(calibrator_to_onnx(calibrator), for_graph)
        if for_map is not None:
            save_calibrator(calibrator, for_map)
    others = [path for path in (predictions, onnx) if path is not None]
    _say(method, out, others, source, calibrator, as_json, gamma is None and method.startswith("focal-undo"))


def _say(
    method: str, out: Path, others: list[Path], source: "Predictions", calibrator: "Calibrator", as_json: bool,
    default_gamma: bool,
) -> None:  # fmt: skip
    """Print what was learnt, what it changes on the rows that it was learnt on, and what was written."""
    from rich.console import Console

    from surefoot.core.plain import plain
    from surefoot.evaluate.diagnosis import notes, rows_learnt_on
    from surefoot.evaluate.evaluation import share_right
    from surefoot.metrics import METRICS, measure
    from surefoot.report.readings import show

    held_out = source.part("validation") if source.split is not None else source
    wanted = [METRICS[name] for name in ("accuracy", "nll", "brier", "ece")]
    rows = [held_out.scored(), calibrator.predict_scored(held_out.logits())]
    before, after = (measure([(p, held_out.labels)], wanted, intervals=False, floors=False) for p in rows)
    changed = int((rows[0].top != rows[1].top).sum())
    temperature, why, at_bound = (getattr(calibrator, name, None) for name in ("temperature_", "why_", "at_bound_"))
    said = [*rows_learnt_on(held_out), *notes(held_out.zeros, at_bound, share_right(held_out))]
    gamma = getattr(calibrator, "gamma", None) if method.startswith("focal-undo") else None
    if as_json:
        values = {stage: {k: r.value for k, r in m.items()} for stage, m in (("before", before), ("after", after))}
        print(
            json.dumps(
                {"method": method, "n": held_out.n, "temperature": temperature, "why": why, "map": str(out)}
                | {"at_bound": at_bound, "changed_classes": changed, "learnt_on_all": source.split is None}
                | ({} if held_out.zeros is None else {"zeros": plain(held_out.zeros)})
                | ({} if gamma is None else {"gamma": gamma, "gamma_by_default": default_gamma})
                | {"written": [str(path) for path in (out, *others)], "notes": said}
                | plain(values),
                allow_nan=False,
            )
        )
        return
    learnt = "" if gamma is None else f", gamma {gamma:g}{', by default: --gamma gives another' * default_gamma}"
    learnt += f", T = {temperature:.4f}" if temperature is not None else ""
    change = "; ".join(
        f"{METRICS[k].title} {before[k].value:.4f} to {after[k].value:.4f}" for k in before if k != "accuracy"
    )
    if why is not None:
        Console().print(f"Chosen: {why}")
    on = f"all {held_out.n:,} rows (measure it on others)" if source.split is None else f"{held_out.n:,} rows"
    Console().print(f"{method} learnt on {on}{learnt}. On these same rows: {change}.")
    Console().print(f"Written: {', '.join(map(str, (out, *others)))}")
    if changed:
        was, now = (show("accuracy", readings["accuracy"].value) for readings in (before, after))
        Console().print(f"It changes the predicted class of {changed:,} of these rows: accuracy {was} to {now}.")
    for note in said:
        Console().print(note)
