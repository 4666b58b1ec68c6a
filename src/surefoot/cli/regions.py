"""`surefoot regions`: the linear pieces that a network is made of."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import numpy as np
import torch
import typer
from torch import Tensor

from surefoot.cli.compress import Domain, Limit, patience_of, read_domain, read_inputs
from surefoot.cli.options import Json
from surefoot.compress.linear_regions import LinearRegion, each_linear_region, linear_region_at, plane_linear_regions
from surefoot.compress.regions import breakpoints, layer_counts, most_regions
from surefoot.compress.stability import Patience, stability
from surefoot.compress.two_layers import share_exact, two_layers
from surefoot.core.errors import InputError, MissingExtra, pip_install
from surefoot.core.files import keep_inputs, whole_file
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Relu
from surefoot.graph.passes.softmax import flat_output, logits_of
from surefoot.spec.opening import open_onnx, see_agreement_over

T = TypeVar("T")
SAMPLES = 20_000
STABLE = 0.5  # of the limit, for the signs of units


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
    limit: Limit = 60.0,
    as_json: Json = False,
) -> None:
    """Count, bound and draw the linear regions of a network; take one out, or write all of them in two layers.

    Example: surefoot regions net.onnx --domain 0,1 --images test.npz --page regions.html
    """
    outputs = {"--out": None if around is None else out, "--two-layers": two, "--page": page}
    keep_inputs(outputs, (network, images, domain))
    opened = open_onnx(network)
    graph = flat_output(logits_of(opened.graph))  # its pieces are those of the logits, where a softmax follows
    lower, upper, constraints = read_domain(domain, graph.input_shape)
    see_agreement_over(opened.graph, opened.run, lower.numpy(), upper.numpy())
    if constraints is not None:
        raise InputError(f"--domain {domain}: regions are those of a box, without rows")
    x = None if images is None else read_inputs(images, graph.input_shape)
    if x is None and (around is not None or page is not None):
        raise InputError("--around and --page need --images")
    if x is not None and around is not None and around >= len(x):
        raise InputError(f"--around {around}: {images} holds {len(x)} inputs")
    if x is not None and page is not None and len(x) < 3:
        raise InputError(f"a plane needs three images; there are {len(x)}")
    search = _Search(graph, lower, upper, patience_of(limit))
    search.signs(x)
    if count:
        search.count(most)
    if x is not None:
        search.segments(x[:201])
    if x is not None and around is not None:
        search.around(x[around], out)
    if x is not None and page is not None:
        search.draw(network.name, x, page)
    if two is not None:
        search.in_two_layers(two, sharpness, min(most, 1000))
    found = search.found
    if search.late:
        found["time_is_up"] = search.late
    if as_json:
        print(json.dumps(found))
        return
    for line in _lines(found):
        print(line)


@dataclass(eq=False)
class _Search:
    """What was found of the pieces of a network within a limit of time, and what was not."""

    graph: Graph
    lower: Tensor
    upper: Tensor
    patience: Patience
    found: dict[str, Any] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)

    def in_time(self, what: str, call: Callable[[], T]) -> T | None:
        """Call; where time is up first, remember what was not found."""
        answer = self.patience.until.run(call)
        if answer is None:
            self.late.append(what)
        return answer

    def signs(self, x: Tensor | None) -> None:
        patience = self.patience.before(STABLE)
        signs = self.in_time("signs", lambda: stability(self.graph, self.lower, self.upper, patience, x))
        if signs is None:
            return
        self.found["active"], self.found["inactive"], self.found["neither"] = signs.counts()
        layers = layer_counts(signs)
        if layers is not None:
            free = int((self.upper > self.lower).sum())
            self.found["at_most"] = str(most_regions(free, *layers))  # may pass what JSON's readers hold

    def count(self, most: int) -> None:
        number = 0

        def walk() -> bool:
            nonlocal number
            for _ in each_linear_region(self.graph, self.lower, self.upper, most):
                number += 1
            return True

        every = self.in_time("all regions", walk)
        self.found["regions" if every else "regions_at_least"] = number

    def segments(self, x: Tensor) -> None:
        crossed: list[int] = []

        def walk() -> bool:
            crossed.extend(len(breakpoints(self.graph, a, b)) - 1 for a, b in itertools.pairwise(x))
            return True

        self.in_time("all segments", walk)
        self.found["segments"] = len(crossed)
        self.found["pieces_of_a_segment"] = float(np.mean(crossed)) if crossed else None

    def around(self, x: Tensor, out: Path) -> None:
        piece = self.in_time("the piece around the image", lambda: linear_region_at(self.graph, x))
        if piece is not None:
            _save(piece, out)
            self.found["piece"] = str(out)

    def draw(self, name: str, x: Tensor, page: Path) -> None:
        drawn = self.in_time("the page", lambda: plane_linear_regions(self.graph, x[0], x[1] - x[0], x[2] - x[0]))
        if drawn is not None:
            _draw(name, drawn, page)
            self.found["drawn"], self.found["page"] = len(drawn), str(page)

    def in_two_layers(self, path: Path, sharpness: float, most: int) -> None:
        """Write all pieces as a network of two layers, and measure where it is exact."""
        lower, upper = self.lower, self.upper
        made = self.in_time(str(path), lambda: two_layers(self.graph, lower, upper, sharpness, most))
        if made is None:
            return
        write_onnx(made, path)
        anywhere = torch.rand(SAMPLES, *lower.shape, generator=torch.Generator().manual_seed(0)).double()
        anywhere = lower + anywhere * (upper - lower)
        written = evaluate(made.to(torch.float32), anywhere.float()).double()  # as the file computes
        share = share_exact(evaluate(self.graph, anywhere).numpy(), written.numpy())
        hidden = [node.shape[0] for node in made.nodes if isinstance(node.op, Relu)]
        self.found["two_layers"] = {"file": str(path), "units": hidden, "exact_share": share}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if "active" in found:
        active, inactive, neither = (found[name] for name in ("active", "inactive", "neither"))
        yield f"{active} units are active over the domain, {inactive} inactive, {neither} neither"
    if "at_most" in found:
        digits = len(found["at_most"])
        yield f"at most {found['at_most'] if digits < 16 else f'1e{digits}'} linear regions"
    if "regions" in found:
        yield f"exactly {found['regions']} linear regions"
    if "regions_at_least" in found:
        yield f"at least {found['regions_at_least']} linear regions"
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
    if "time_is_up" in found:
        yield f"time is up before these were found: {', '.join(found['time_is_up'])}"


def _draw(name: str, found: list[LinearRegion], page: Path) -> None:
    try:
        from surefoot.report.plane import write_regions_page  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"a page needs Plotly and Jinja: {pip_install('report')}") from error
    write_regions_page(page, f"Linear regions of {name}", found)


def _save(piece: LinearRegion, path: Path) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, weight=piece.weight, offset=piece.offset, rows=piece.rows, offsets=piece.offsets)
