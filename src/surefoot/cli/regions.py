"""`surefoot regions`: the linear regions of a network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from surefoot.cli.arguments import patience_of, read_domain, read_images
from surefoot.cli.options import Json, Limit, Memory
from surefoot.core.errors import InputError

_RENAMED = {
    "piece": "region",
    "pieces_of_a_segment": "regions_of_a_segment",
}  # keys of before, kept for one version


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file.")],
    domain: Annotated[
        str,
        typer.Option(
            help="Least and largest value of every input, such as 0,1; or an .npz file of `lower` and `upper`."
        ),
    ],
    images: Annotated[
        Optional[Path],
        typer.Option(help="An .npz file with inputs `x`: how many regions do the segments between them cross?"),
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Count all regions of the domain: small networks.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Give up beyond so many.")] = 10_000,
    around: Annotated[
        Optional[int],
        typer.Option(
            min=0, help="Write the region around this row of the images (.npz: weight, offset, rows, offsets)."
        ),
    ] = None,
    two: Annotated[
        Optional[Path],
        typer.Option(
            "--two-layers", help="Write a network of two hidden layers that equals this one nearly everywhere."
        ),
    ] = None,
    sharpness: Annotated[float, typer.Option(help="Of --two-layers: the larger, the thinner where it differs.")] = 1e3,
    page: Annotated[
        Optional[Path],
        typer.Option(help="Draw the regions in the plane through the first three images."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where --around writes.")] = Path("region.npz"),
    limit: Limit = 60.0,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Count, bound and draw the linear regions of a network; take one out, or write all of them in two layers.

    Example: surefoot regions net.onnx --domain 0,1 --images test.npz --page regions.html
    """
    from surefoot.compress.survey import Survey
    from surefoot.core.plain import plain
    from surefoot.graph.passes.softmax import flat_output, logits_of
    from surefoot.spec.opening import open_onnx, see_agreement_within

    opened = open_onnx(network)
    graph = flat_output(logits_of(opened.graph))  # its regions are those of the logits, where a softmax follows
    box = read_domain(domain, graph.input_shape)
    see_agreement_within(opened.graph, opened.run, box.boxes)
    if box.constraints is not None:
        raise InputError(f"--domain {domain}: regions are those of a box, without linear input constraints")
    x = read_images(images, graph.input_shape)
    _see_enough(0 if x is None else len(x), images, around, page)
    survey = Survey(graph, box, patience_of(limit))
    survey.signs(x)
    if count:
        survey.count(most)
    if x is not None:
        survey.segments(x[:201])
    if x is not None and around is not None:
        survey.around(x[around], out)
    if x is not None and page is not None:
        from surefoot.report.plane import write_regions_page

        drawn = survey.plane(x)
        if drawn is not None:
            write_regions_page(page, f"Linear regions of {network.name}", drawn)
            survey.answers["drawn"], survey.answers["page"] = len(drawn), str(page)
    if two is not None:
        survey.in_two_layers(two, sharpness, min(most, 1000))
    answers = survey.answers
    if survey.late:
        answers["time_is_up"] = survey.late
    if as_json:
        older = {old: answers[new] for old, new in _RENAMED.items() if new in answers}
        print(json.dumps(plain(answers | older), allow_nan=False))
        return
    for line in _lines(answers):
        print(line)


def _see_enough(n: int, images: Path | None, around: int | None, page: Path | None) -> None:
    """Refuse what needs more images than there are."""
    if images is None and (around is not None or page is not None):
        raise InputError("--around and --page need --images")
    if around is not None and around >= n:
        raise InputError(f"--around {around}: {images} holds {n} inputs")
    if page is not None and n < 3:
        raise InputError(f"a plane needs three images; there are {n}")


def _lines(known: dict[str, Any]) -> Iterator[str]:
    if "active" in known:
        active, inactive, neither = (known[name] for name in ("active", "inactive", "neither"))
        yield f"{active} units are active over the domain, {inactive} inactive, {neither} neither"
    if "at_most" in known:
        digits = len(known["at_most"])
        yield f"at most {known['at_most'] if digits < 16 else f'1e{digits}'} linear regions"
    if "regions" in known:
        yield f"exactly {known['regions']} linear regions"
    if "regions_at_least" in known:
        yield f"at least {known['regions_at_least']} linear regions"
    if known.get("regions_of_a_segment") is not None:
        yield f"a segment between two images crosses {known['regions_of_a_segment']:.1f} (mean of {known['segments']})"
    if "region" in known:
        yield f"the region around the image: {known['region']}"
    if "drawn" in known:
        yield f"{known['drawn']} regions in the plane through the first three images: {known['page']}"
    if "two_layers" in known:
        two = known["two_layers"]
        yield (
            f"two hidden layers of {two['units'][0]} and {two['units'][1]} units: exact on {two['exact_share']:.2%} of "
            f"the domain's volume, not close near the borders of regions: {two['file']}"
        )
    if "time_is_up" in known:
        yield f"time is up before these were found: {', '.join(known['time_is_up'])}"
