"""`surefoot certify`: between what recalibrated confidence, accuracy, Brier score and ECE stay when inputs move."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli.arguments import numbers, value_range
from surefoot.cli.options import Json, Memory, Output
from surefoot.core.proven import percent_span, span

if TYPE_CHECKING:
    from rich.table import Table

    from surefoot.evaluate.certified import Radius
    from surefoot.recalibrate import Calibrator
BOUNDS = 0.7  # of the limit, for bounds, where pictures follow


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file whose output is logits, or their softmax.")],
    images: Annotated[Path, typer.Option(help="An .npz file of images `x` (uint8 is divided by 255) and classes `y`.")],
    eps: Annotated[str, typer.Option(help="Radii between commas, such as 0,1/255,2/255.")],
    map_file: Annotated[
        Optional[Path],
        typer.Option("--map", help="A calibrator that `surefoot recalibrate` wrote. Default: the softmax alone."),
    ] = None,
    valid: Annotated[str, typer.Option("--range", help="The valid range of values, before any normalisation.")] = "0,1",
    first: Annotated[Optional[int], typer.Option(min=1, help="Only so many images.")] = None,
    page: Annotated[
        Optional[Path],
        typer.Option(help="Write a page: curves, and the first images with pictures."),
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, help="How many images the page shows.")] = 6,
    limit: Annotated[
        float,
        typer.Option("--limit", "--timeout", min=0, help="Seconds for all images at all radii, and the pictures."),
    ] = math.inf,
    output: Output = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Certify confidence: bounds that hold for every input within a radius, after the calibrator.

    The calibrator takes logits: where the network ends in a softmax, those before it.

    Example: surefoot certify net.onnx --images test.npz --eps 0,1/255,2/255 --map map.json --page certified.html
    """
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from surefoot.core.deadline import Deadline
    from surefoot.core.plain import plain
    from surefoot.evaluate.certified import certify_images, pictures_of
    from surefoot.spec.opening import see_agreement_within
    from surefoot.verify.many import load_images, open_network

    opened = open_network(network, output)
    x, y = load_images(images, opened)
    x, labels = x[:first], y[:first].tolist()
    radii, (low, high) = sorted(numbers(eps, None, "--eps")), value_range(valid)
    calibrator = None if map_file is None else _load_map(map_file)
    boxes = [(np.clip(image - radii[-1], low, high), np.clip(image + radii[-1], low, high)) for image in x]
    until = Deadline.of(limit)
    until.run(lambda: see_agreement_within(opened.whole, opened.run, boxes))  # late: then nothing is bounded either
    console = Console(stderr=True)
    steps = iter(track(range(len(x) * len(radii)), "certifying", console=console, disable=not console.is_terminal))
    summaries, bounds = certify_images(
        opened, x, labels, radii, (low, high), calibrator, lambda: next(steps, None),
        until.before(1.0 if page is None else BOUNDS),
    )  # fmt: skip
    next(steps, None)
    if page is not None:
        from surefoot.report.certified_page import write_certified_page

        shown = pictures_of(opened, x[:pictures], labels, radii[-1], (low, high), bounds[-1], until)
        write_certified_page(page, f"{network.name} on {images.name}", summaries, shown)
    if as_json:
        print(json.dumps([plain(r) for r in summaries], allow_nan=False))
        return
    Console().print(_table(summaries))
    for radius in summaries:
        if radius.late:
            print(radius.warning)
    if page is not None:
        print(f"page: {page}")


def _load_map(path: Path) -> "Calibrator":
    from surefoot.recalibrate import load_calibrator

    return load_calibrator(path)


def _table(summaries: "list[Radius]") -> "Table":
    from rich.table import Table

    table = Table("radius", "accuracy", "mean confidence", "Brier", "ECE")
    late = any(r.late for r in summaries)
    if late:
        table.add_column("bounded")
    for r in summaries:
        s = r.summary
        cells = [percent_span(*r.accuracy), percent_span(*s.mean_confidence), span(*s.brier, 4), percent_span(*s.ece)]
        if not r.bounded:
            cells = ["time is up", "", "", ""]
        table.add_row(f"{r.eps:.4g}", *cells, *([f"{r.bounded} of {r.images}"] if late else []))
    return table
