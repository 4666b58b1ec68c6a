"""What is known of a network's linear regions within a limit of time."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from surefoot.compress.linear_regions import LinearRegion, each_linear_region, linear_region_at, plane_linear_regions
from surefoot.compress.regions import breakpoints, layer_counts, most_regions
from surefoot.compress.stability import Patience, stability
from surefoot.compress.two_layers import share_exact, two_layers
from surefoot.core.files import whole_file
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Relu
from surefoot.reach.ibp import Box
from surefoot.spec.input_set import InputSet

T = TypeVar("T")
SAMPLES = 20_000
STABLE = 0.5  # of the limit, for the signs of units


@dataclass(eq=False)
class Survey:
    """What is known of the linear regions of a network within a limit of time, and what was not found."""

    graph: Graph
    domain: InputSet
    patience: Patience
    answers: dict[str, Any] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)

    def in_time(self, what: str, call: Callable[[], T]) -> T | None:
        """Call; where time is up first, remember what was not found."""
        answer = self.patience.until.run(call)
        if answer is None:
            self.late.append(what)
        return answer

    def signs(self, x: Tensor | None) -> None:
        """Count the units that are active, inactive or neither over the domain, and bound the number of regions."""
        patience = self.patience.before(STABLE)
        signs = self.in_time("signs", lambda: stability(self.graph, self.domain, patience, x))
        if signs is None:
            return
        self.answers["active"], self.answers["inactive"], self.answers["neither"] = signs.counts()
        layers = layer_counts(signs)
        if layers is not None:
            free = int((self.domain.upper > self.domain.lower).sum())
            self.answers["at_most"] = str(most_regions(free, *layers))  # may pass what JSON's readers hold

    def count(self, most: int) -> None:
        """Count all regions of the domain, up to so many."""
        number = 0

        def count_each() -> bool:
            nonlocal number
            for _ in each_linear_region(self.graph, self.domain, most):
                number += 1
            return True

        every = self.in_time("all regions", count_each)
        self.answers["regions" if every else "regions_at_least"] = number

    def segments(self, x: Tensor) -> None:
        """Count the regions that the segments between inputs cross."""
        crossed: list[int] = []

        def cross() -> bool:
            crossed.extend(len(breakpoints(self.graph, a, b)) - 1 for a, b in itertools.pairwise(x))
            return True

        self.in_time("all segments", cross)
        self.answers["segments"] = len(crossed)
        self.answers["regions_of_a_segment"] = float(np.mean(crossed)) if crossed else None

    def around(self, x: Tensor, out: Path) -> None:
        """Write the region around an input."""
        region = self.in_time("the region around the image", lambda: linear_region_at(self.graph, x))
        if region is not None:
            with whole_file(out) as temporary, temporary.open("wb") as file:
                np.savez(file, weight=region.weight, offset=region.bias, rows=region.rows, offsets=region.row_bias)
            self.answers["region"] = str(out)

    def plane(self, x: Tensor) -> list[LinearRegion] | None:
        """Find the regions of the plane through three inputs."""
        return self.in_time("the page", lambda: plane_linear_regions(self.graph, x[0], x[1] - x[0], x[2] - x[0]))

    def in_two_layers(self, path: Path, sharpness: float, most: int) -> None:
        """Write all regions as a network of two layers, and measure where it is exact."""
        shallow = self.in_time(str(path), lambda: two_layers(self.graph, self.domain, sharpness, most))
        if shallow is None:
            return
        write_onnx(shallow, path)
        box = Box.around(self.domain, self.graph.input_shape)
        anywhere = torch.rand(SAMPLES, *box.lower.shape[1:], generator=torch.Generator().manual_seed(0)).double()
        anywhere = box.lower + anywhere * (box.upper - box.lower)
        written = evaluate(shallow.to(torch.float32), anywhere.float()).double()  # as the file computes
        share = share_exact(evaluate(self.graph, anywhere).numpy(), written.numpy())
        hidden = [node.shape[0] for node in shallow.nodes if isinstance(node.op, Relu)]
        self.answers["two_layers"] = {"file": str(path), "units": hidden, "exact_share": share}
