"""The bound of a claim about channels holds, whatever is claimed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_network
from pruned import boxes_of, ends, gap, leaned, unit
from surefoot.compress.channel_check import mapped_difference
from surefoot.compress.channels import ChannelMap
from surefoot.compress.equal import equal
from surefoot.compress.transform import compress
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Conv2d, ElementwiseAffine, Linear, Relu, Reshape
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.spec.input_set import InputSet


@pytest.mark.parametrize("seed", range(60))
def test_the_bound_holds_for_whatever_is_claimed(seed: int) -> None:
    """Weights moved, channels said to be elsewhere, ratios that are none: the bound is above what is met."""
    rng = np.random.default_rng(seed)
    graph = random_network(seed, products=True)
    low, high = ends(graph, seed)

    def shaken(x: torch.Tensor) -> torch.Tensor:
        return x + 1e-3 * torch.from_numpy(rng.normal(size=tuple(x.shape)))

    nodes = []
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Linear | Conv2d) and rng.random() < 0.5:
            op = replace(op, weight=shaken(op.weight))
        if isinstance(op, ElementwiseAffine) and rng.random() < 0.5:
            op = replace(op, scale=shaken(op.scale))
        nodes.append(replace(node, op=op))
    other = Graph(tuple(nodes))
    matches = []
    for at, node in enumerate(graph.nodes):
        match = ChannelMap.same(node.shape[0])
        if 0 < at < len(graph.nodes) - 1 and rng.random() < 0.3:
            to, ratio = match.to.clone(), match.ratio.clone()
            channel = int(rng.integers(len(to)))
            to[channel] = int(rng.integers(-1, len(to)))
            ratio[channel] = float(rng.normal())
            match = ChannelMap(to, ratio, match.kept)
        matches.append(match)
    bound = mapped_difference(graph, other, matches, boxes_of(graph, low, high), boxes_of(other, low, high))
    assert (gap(graph, other, low, high) <= bound * (1 + 1e-12) + 1e-13).all()


def test_a_zero_channel_that_stays_is_still_zero() -> None:
    """Its set stays because a channel is all that a node has; what it reads must then be computed as before."""
    builder = GraphBuilder((2,))
    inner = builder.add(Linear(torch.tensor([[1.0, 1.0], [1.0, -1.0]]).double(), torch.tensor([-9.0, 3.0]).double()), 0)
    first = builder.add(Relu(), inner)  # unit 0 is inactive, unit 1 active
    second = builder.add(
        Relu(), builder.add(Linear(torch.tensor([[0.0, -1.0]]).double(), torch.ones(1).double()), first)
    )
    builder.add(Linear(torch.tensor([[2.0]]).double(), torch.ones(1).double()), second)
    graph = builder.build()
    made, bound = leaned(graph, *unit(graph))
    assert bound.max() < 1e-10
    assert gap(graph, made.graph, *unit(graph)).max() == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(3, 2), (4, 3), (2, 3, 4)])
def test_a_matrix_may_act_on_an_axis_that_is_not_that_of_channels(shape: tuple[int, ...], channels: int) -> None:
    """As a mean over places does, and a token's own layer: its rows are no channels of what they give."""
    generator = torch.Generator().manual_seed(len(shape) + channels)
    builder = GraphBuilder(shape)
    weight = torch.randn(channels, shape[-1], generator=generator, dtype=torch.float64)
    inner = builder.add(Relu(), builder.add(Linear(weight, torch.randn(channels, generator=generator).double()), 0))
    size = int(np.prod([*shape[:-1], channels]))
    last = builder.add(Reshape((size,)), inner)
    graph = builder.build(builder.add(Linear(torch.randn(2, size, generator=generator).double()), last))
    moved = Graph(
        tuple(
            replace(node, op=replace(node.op, weight=1.01 * node.op.weight)) if isinstance(node.op, Linear) else node
            for node in graph.nodes
        )
    )
    domain = InputSet.of(np.zeros(shape), np.ones(shape))
    x = torch.rand(2000, *shape, generator=generator, dtype=torch.float64)
    met = float((evaluate(graph, x) - evaluate(moved, x)).abs().max())
    claims = [ChannelMap.same(node.shape[0]) for node in graph.nodes]
    boxes = [relax(g, Box.around(domain, shape), REAL).boxes for g in (graph, moved)]
    assert met <= float(mapped_difference(graph, moved, claims, *boxes).max()) < np.inf
    assert met <= equal(graph, moved, domain, 1.0).largest
    assert compress(graph, domain, 0.1).graph.output_shape == (2,)
