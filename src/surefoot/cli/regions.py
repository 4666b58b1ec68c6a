"""`surefoot regions`: the linear pieces that a network is made of."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import torch
import typer
from torch import Tensor

from surefoot.cli.compress import Domain, Seconds, read_domain, read_inputs
from surefoot.cli.options import Json
from surefoot.compress.pieces import Piece, piece_at, pieces, plane_pieces
from surefoot.compress.regions import breakpoints, layer_counts, most_regions
from surefoot.compress.stable import stability
from surefoot.compress.two_layers import share_exact, two_layers
from surefoot.core.errors import InputError, MissingExtra
from surefoot.core.files import whole_file
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Relu
from surefoot.graph.passes.softmax import flat_output, logits_of
from surefoot.verify.opening import open_onnx, see_agreement_over

SAMPLES = 20_000


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file.")],
    domain: Domain,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="An .npz file with inputs `x`: how many pieces do the segments between them cross?"),
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Count all regions of the domain: small networks.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Give up beyond so many.")] = 10_000,
    around: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=0, help="Write the piece around this row of the images (.npz: weight, offset, rows, offsets)."
        ),
    ] = None,
    two: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--two-layers", help="Write a network of two hidden layers that equals this one nearly everywhere."
        ),
    ] = None,
    sharpness: Annotated[float, typer.Option(help="Of --two-layers: the larger, the thinner where it differs.")] = 1e3,
    page: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Draw the pieces in the plane through the first three images."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where --around writes.")] = Path("piece.npz"),
    seconds: Seconds = 2.0,
    as_json: Json = False,
) -> None:
    """Count, bound and draw the linear regions of a network; take one out, or write all of them in two layers.

    Example: surefoot regions net.onnx --domain 0,1 --images test.npz --page regions.html
    """
    opened = open_onnx(network)
    graph = flat_output(logits_of(opened.graph))  # its pieces are those of the logits, where a softmax follows
    lower, upper, cuts = read_domain(domain, graph.input_shape)
    see_agreement_over(opened.graph, opened.run, lower.numpy(), upper.numpy())
    if cuts is not None:
        raise InputError(f"--domain {domain}: regions are those of a box, without rows")
    x = None if images is None else read_inputs(images, graph.input_shape)
    if x is None and (around is not None or page is not None):
        raise InputError("--around and --page need --images")
    found: dict[str, Any] = {}
    signs = stability(graph, lower, upper, seconds, x)
    found["active"], found["inactive"], found["neither"] = signs.counts()
    layers = layer_counts(signs)
    if layers is not None:
        free = int((upper > lower).sum())
        found["at_most"] = str(most_regions(free, *layers))  # may pass what JSON's readers hold
    if count:
        found["regions"] = len(pieces(graph, lower, upper, most))
    if x is not None:
        crossed = [len(breakpoints(graph, a, b)) - 1 for a, b in itertools.pairwise(x[:201])]
        found["segments"], found["pieces_of_a_segment"] = len(crossed), float(np.mean(crossed)) if crossed else None
        if around is not None:
            if around >= len(x):
                raise InputError(f"--around {around}: {images} holds {len(x)} inputs")
            piece = piece_at(graph, x[around])
            _save(piece, out)
            found["piece"] = str(out)
        if page is not None:
            found["drawn"], found["page"] = _draw(network.name, graph, x, page), str(page)
    if two is not None:
        made = two_layers(graph, lower, upper, sharpness, min(most, 1000))
        write_onnx(made, two)
        anywhere = torch.rand(SAMPLES, *lower.shape, generator=torch.Generator().manual_seed(0)).double()
        anywhere = lower + anywhere * (upper - lower)
        written = evaluate(made.to(torch.float32), anywhere.float()).double()  # as the file computes
        share = share_exact(evaluate(graph, anywhere).numpy(), written.numpy())
        hidden = [node.shape[0] for node in made.nodes if isinstance(node.op, Relu)]
        found["two_layers"] = {"file": str(two), "units": hidden, "exact_share": share}
    if as_json:
        print(json.dumps(found))
        return
    for line in _lines(found):
        print(line)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    active, inactive, neither = (found[name] for name in ("active", "inactive", "neither"))
    yield f"{active} units are active over the domain, {inactive} inactive, {neither} neither"
    if "at_most" in found:
        digits = len(found["at_most"])
        yield f"at most {found['at_most'] if digits < 16 else f'1e{digits}'} linear regions"
    if "regions" in found:
        yield f"exactly {found['regions']} linear regions"
    if found.get("pieces_of_a_segment") is not None:
        yield f"a segment between two images crosses {found['pieces_of_a_segment']:.1f} (mean of {found['segments']})"
    if "piece" in found:
        yield f"the piece around the image: {found['piece']}"
    if "drawn" in found:
        yield f"{found['drawn']} pieces in the plane through the first three images: {found['page']}"
    if "two_layers" in found:
        two = found["two_layers"]
        yield (
            f"two hidden layers of {two['units'][0]} and {two['units'][1]} units: exact on {two['exact_share']:.2%} of "
            f"the domain's volume, not close near the borders of regions: {two['file']}"
        )


def _draw(name: str, graph: Graph, x: Tensor, page: Path) -> int:
    try:
        from surefoot.report.plane import write_regions_page  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra("a page needs Plotly and Jinja: pip install 'surefoot[report]'") from error
    if len(x) < 3:
        raise InputError(f"a plane needs three images; there are {len(x)}")
    found = plane_pieces(graph, x[0], x[1] - x[0], x[2] - x[0])
    write_regions_page(page, f"Linear regions of {name}", found)
    return len(found)


def _save(piece: Piece, path: Path) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, weight=piece.weight, offset=piece.offset, rows=piece.rows, offsets=piece.offsets)
