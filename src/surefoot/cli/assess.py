"""`surefoot assess`: one model, the whole flow, one page."""

import json
import time
from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.cli.arguments import numbers, value_range
from surefoot.cli.options import DataFolder, DataName, Json, Memory, Seed
from surefoot.core.errors import InputError


def command(
    network: Annotated[
        Optional[Path],
        typer.Argument(help="An .onnx file, or the model.safetensors of a run. Default: one is trained on --data."),
    ] = None,
    data: DataName = "digits",
    folder: DataFolder = None,
    images: Annotated[
        Optional[Path],
        typer.Option(help="Instead of --data: an .npz of test inputs `x`, classes `y`, and perhaps `group`."),
    ] = None,
    calibration: Annotated[
        Optional[Path],
        typer.Option(help="With --images: an .npz to learn the calibrator on. Default: a random half of the images."),
    ] = None,
    eps: Annotated[
        str, typer.Option(help="Radii for which confidence is certified, as shares of the range of values.")
    ] = "0,1/64,1/32",
    valid: Annotated[
        Optional[str],
        typer.Option("--range", help="The valid range of values. Default: that of the inputs."),
    ] = None,
    certify: Annotated[int, typer.Option(min=1, help="How many test inputs are certified.")] = 50,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything.")] = Path("runs/assess"),
    title: Annotated[Optional[str], typer.Option(help="The page's title; default: the network's name.")] = None,
    seed: Seed = 0,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Assess a model: is it calibrated, what repairs it, where is it worst, what is certain, how small can it be?

    Leaves report.html, assessment.json, README.md (a model card), map.json, calibrated.onnx, small.onnx and the
    predictions in the folder.

    Example: surefoot assess && open runs/assess/report.html

    Example: surefoot assess net.onnx --images test.npz --calibration validation.npz --range 0,1
    """
    from rich.console import Console

    from surefoot.evaluate.assessment import Ask, assess
    from surefoot.evaluate.subject import subject_of_data, subject_of_files
    from surefoot.report.assess_page import write_assessment

    begin, console = time.monotonic(), Console(stderr=True)

    def step(words: str) -> None:
        console.print(f"{words} ...", style="dim")

    out.mkdir(parents=True, exist_ok=True)
    if images is None:
        if network is not None:
            console.print(f"no --images: taking the data set {data} (--data)", style="dim")
        subject = subject_of_data(network, data, folder, out, seed, step)
    elif network is None:
        raise InputError("--images needs a network: surefoot assess net.onnx --images test.npz")
    else:
        subject = subject_of_files(network, images, calibration, out, seed)
    low, high = value_range(valid) if valid else subject.values
    if not low < high:
        raise InputError(f"all inputs are {low:g}: give the range of values, --range 0,1")
    radii = tuple((high - low) * share for share in sorted(numbers(eps, None, "--eps")))
    assessment, predictions, _ = assess(
        subject.network, subject.validation, subject.test, Ask((low, high), radii, certify, seed=seed), out,
        title or subject.name, subject.rows, subject.class_names, step,
    )  # fmt: skip
    write_assessment(out, assessment, predictions)
    if as_json:
        print(json.dumps(assessment.plain(), allow_nan=False))
        return
    print(f"{subject.rows.sentence}\n\n{assessment.paragraph}")
    for what, why in assessment.reasons.items():
        print(f"not done: {what}: {why}")
    print(f"\npage: {out / 'report.html'}, model card: {out / 'README.md'} ({time.monotonic() - begin:.0f} s)")
