"""`surefoot certify`: between what recalibrated confidence, accuracy, Brier score and ECE stay when inputs move."""

import json
import math
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from surefoot.cli.options import Json, Output
from surefoot.cli.verify import numbers
from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError, MissingExtra, pip_install
from surefoot.evaluate.certified import Radius, certify_images, show
from surefoot.evaluate.evaluation import plain
from surefoot.recalibrate import load_calibrator
from surefoot.spec.opening import see_agreement_within
from surefoot.spec.perturbations import linf_ball
from surefoot.verify.many import load_images, open_network

PICTURE = 10.0  # seconds for the verdict of each image that is shown
BOUNDS = 0.7  # of the limit, for bounds, where pictures follow


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file whose output is logits, or their softmax.")],
    images: Annotated[Path, typer.Option(help="An .npz file of images `x` (uint8 is divided by 255) and classes `y`.")],
    eps: Annotated[str, typer.Option(help="Radii between commas, such as 0,1/255,2/255.")],
    map_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--map", help="A calibrator that `surefoot recalibrate` wrote. Default: the softmax alone."),
    ] = None,
    valid: Annotated[str, typer.Option("--range", help="The valid range of values, before any normalisation.")] = "0,1",
    first: Annotated[Optional[int], typer.Option(min=1, help="Only so many images.")] = None,  # noqa: UP045
    page: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a page: curves, and the first images with pictures."),
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, help="How many images the page shows.")] = 6,
    limit: Annotated[
        float,
        typer.Option("--limit", "--timeout", min=0, help="Seconds for all images at all radii, and the pictures."),
    ] = math.inf,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Certify confidence: bounds that hold for every input within a radius, after the map.

    The calibrator takes logits: where the network ends in a softmax, those before it.

    Example: surefoot certify net.onnx --images test.npz --eps 0,1/255,2/255 --map map.json --page certified.html
    """
    opened = open_network(network, output)
    x, y = load_images(images, opened)
    x, y = x[:first], y[:first].tolist()
    radii = sorted(numbers(eps, None, "--eps"))
    low, high = numbers(valid, 2, "--range")
    if not low < high:
        raise InputError(f"--range {low:g},{high:g}: the first must be below the second")
    calibrator = None if map_file is None else load_calibrator(map_file)
    boxes = [(np.clip(image - radii[-1], low, high), np.clip(image + radii[-1], low, high)) for image in x]
    see_agreement_within(opened.whole, opened.run, boxes)
    console = Console(stderr=True)
    steps = iter(track(range(len(x) * len(radii)), "certifying", console=console, disable=not console.is_terminal))

    until = Deadline.of(limit)

    def done() -> None:
        next(steps, None)

    found, bounds = certify_images(
        opened, x, y, radii, (low, high), calibrator, done, until.before(1.0 if page is None else BOUNDS)
    )
    done()
    if page is not None:
        try:
            from surefoot.report.certified_page import write_certified_page  # noqa: PLC0415  (an extra)
        except ModuleNotFoundError as error:
            raise MissingExtra(f"a page needs Plotly and Jinja: {pip_install('report')}") from error
        shown = []
        for i in range(min(pictures, len(x))):
            mine = until.before(1 / (min(pictures, len(x)) - i))
            region = linf_ball(x[i], radii[-1], low, high)
            one = mine.run(lambda i=i, region=region, mine=mine: show(
                opened, i, x[i], y[i], region, bounds[-1][i], min(PICTURE, 0.6 * mine.left)))  # fmt: skip
            shown += [] if one is None else [one]
        write_certified_page(page, f"{network.name} on {images.name}", found, shown)
    if as_json:
        print(json.dumps([plain(r) for r in found], allow_nan=False))
        return
    Console().print(_table(found))
    for radius in found:
        if radius.late:
            print(radius.warning)
    if page is not None:
        print(f"page: {page}")


def _table(found: list[Radius]) -> Table:
    table = Table("radius", "accuracy", "mean confidence", "Brier", "ECE")
    late = any(r.late for r in found)
    if late:
        table.add_column("bounded")
    for r in found:
        s = r.summary
        cells = [f"{a:.1%} to {b:.1%}" for a, b in (s.accuracy, s.mean_confidence)]
        cells += [f"{a:.4f} to {b:.4f}" for a, b in (s.brier,)] + [f"{a:.1%} to {b:.1%}" for a, b in (s.ece,)]
        if not r.bounded:
            cells = ["time is up", "", "", ""]
        table.add_row(f"{r.eps:.4g}", *cells, *([f"{r.bounded} of {r.images}"] if late else []))
    return table
