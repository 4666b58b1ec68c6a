"""`surefoot certify`: between what recalibrated confidence, accuracy, Brier score and ECE stay when inputs move."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from surefoot.cli.arguments import numbers, say_inputs
from surefoot.cli.image_regions import (
    ChannelsAt,
    Kind,
    Places,
    Range,
    Region,
    Start,
    Threshold,
    Towards,
    check_options,
    regions_of,
)
from surefoot.cli.options import Json, Memory, Output, Shape, shapes_of
from surefoot.core.proven import percent_span, span

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from surefoot.evaluate.certified import Radius
    from surefoot.recalibrate import Calibrator
    from surefoot.spec.input_set import InputSet
    from surefoot.verify.network import Network
BOUNDS = 0.7  # of the limit, for bounds, where pictures follow


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file whose output is logits, or their softmax.")],
    images: Annotated[Path, typer.Option(help="An .npz file of images `x` (uint8 is divided by 255) and classes `y`.")],
    region: Region = "linf",
    eps: Annotated[str, typer.Option(help="linf: radii between commas, such as 0,1/255,2/255.")] = "",
    map_file: Annotated[
        Optional[Path],
        typer.Option("--map", help="A calibrator that `surefoot recalibrate` wrote. Default: the softmax alone."),
    ] = None,
    valid: Range = "",
    threshold: Threshold = None,
    delta: Annotated[
        str, typer.Option(help="brighten: see --threshold. line: how far along; several between commas.")
    ] = "",
    at: Places = "",
    towards: Towards = None,
    start: Start = None,
    layout: ChannelsAt = None,
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
    shape: Shape = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Certify confidence: bounds that hold for every input of a region around an image, after the calibrator.

    The calibrator takes logits: where the network ends in a softmax, those before it.

    Example: surefoot certify net.onnx --images test.npz --eps 0,1/255,2/255 --map map.json --page certified.html
    """
    from rich.console import Console
    from rich.progress import track

    from surefoot.core.deadline import Deadline
    from surefoot.core.errors import InputError
    from surefoot.core.plain import plain
    from surefoot.evaluate.certified import certify_images, pictures_of
    from surefoot.spec.opening import see_agreement_within
    from surefoot.verify.many import load_images, open_network

    opened = open_network(network, output, shapes_of(shape))
    say_inputs(opened.given)
    x, y = load_images(images, opened)
    x, labels = x[:first], y[:first].tolist()
    about = {"eps": eps, "range": valid, "threshold": threshold, "delta": delta, "at": at, "towards": towards,
             "start": start, "layout": layout}  # fmt: skip
    if region in ("l1", "l2"):
        raise InputError(f"--region {region}: confidence is certified over boxes and lines; `verify` takes balls")
    if page is not None and region != "linf":
        raise InputError(f"--page shows balls (--region linf); for --region {region} read the table or --json")
    regions = _regions(x, region, about, opened)
    calibrator = None if map_file is None else _load_map(map_file)
    until = Deadline.of(limit)
    ends = [box for _, around in regions for inputs in around for box in inputs.boxes]
    until.run(lambda: see_agreement_within(opened.whole, opened.run, ends))  # late: then nothing is bounded either
    console = Console(stderr=True)
    steps = iter(track(range(len(x) * len(regions)), "certifying", console=console, disable=not console.is_terminal))
    summaries, bounds = certify_images(
        opened, regions, labels, calibrator, lambda: next(steps, None), until.before(1.0 if page is None else BOUNDS)
    )
    next(steps, None)
    if page is not None:
        from surefoot.report.certified_page import write_certified_page

        shown = pictures_of(opened, x[:pictures], labels, regions[-1][1], bounds[-1], until)
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


def _regions(
    x: "np.ndarray", kind: Kind, about: "dict[str, Any]", network: "Network"
) -> "list[tuple[float | None, list[InputSet]]]":
    """Return the regions of all images, for each size that was asked, the least first."""
    name = {"linf": "eps", "line": "delta", "brighten": "delta"}.get(kind)
    if name is None or not about[name]:
        check_options(about, kind)
        return [(None, regions_of(x, kind, about, network))]
    regions: list[tuple[float | None, list[InputSet]]] = []
    for size in sorted(numbers(about[name], None, f"--{name}")):
        one = about | {name: repr(size) if kind == "linf" else size}
        check_options(one, kind)
        regions.append((size, regions_of(x, kind, one, network)))
    return regions


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
        table.add_row(r.radius, *cells, *([f"{r.bounded} of {r.images}"] if late else []))
    return table
