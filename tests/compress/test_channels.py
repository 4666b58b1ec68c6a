"""Channels that go together: planted ones are found, answers stay, and the bound holds for whatever is claimed."""

import numpy as np
import pytest
import torch

from networks import random_network
from planted import convolutional, tensor
from pruned import boxes_of, ccp, ends, gap, leaned, residual, unit
from surefoot.compress.transform import compress
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Conv2d, ElementwiseAffine, Linear, Mul, Relu, Reshape
from surefoot.spec.input_set import InputSet


@pytest.mark.parametrize("exported", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_dead_and_proportional_rank_components_go(seed: int, exported: bool) -> None:
    graph = ccp(seed, exported=exported)
    low, high = unit(graph)
    made, bound = leaned(graph, low, high)
    assert (made.dead, made.merged) == (2, 1)
    assert made.graph.nodes[-2].shape == (3,)
    assert bound.max() < 1e-10
    assert (gap(graph, made.graph, low, high) <= bound).all()


@pytest.mark.parametrize(("dead", "gone"), [(((1,), (1,)), 1), (((1,), (2,)), 0), (((0, 1, 2), (1, 2, 3)), 2)])
def test_a_channel_leaves_a_residual_sum_only_with_its_partners(
    dead: tuple[tuple[int, ...], tuple[int, ...]], gone: int
) -> None:
    graph = residual(3, dead)
    low, high = unit(graph)
    made, bound = leaned(graph, low, high)
    assert made.graph.nodes[1].shape[0] == 4 - gone
    assert bound.max() < 1e-10
    assert (gap(graph, made.graph, low, high) <= bound).all()


@pytest.mark.parametrize("pooled", [True, False])
def test_channels_go_through_pools_and_into_linear_maps(pooled: bool) -> None:
    graph = convolutional(0, pooled=pooled)
    made, bound = leaned(graph, *unit(graph))
    assert [n.shape[0] for n in made.graph.nodes if isinstance(n.op, Conv2d)] == [3, 3]
    assert bound.max() < 1e-10


def test_scaled_channels_merge_through_normalisation() -> None:
    """Channel 1 is -2 times channel 0 before a scale for each, without a shift."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 4))
    weight[1] = -2 * weight[0]
    builder = GraphBuilder((4,))
    last = builder.add(ElementwiseAffine(tensor(np.array([2.0, 5.0, 1.0]))), builder.add(Linear(tensor(weight)), 0))
    builder.add(Linear(tensor(rng.normal(size=(2, 3)))), builder.add(Mul(), last, last))
    graph = builder.build()
    made, bound = leaned(graph, *unit(graph))
    assert made.merged == 1
    assert bound.max() < 1e-10
    assert (gap(graph, made.graph, *unit(graph)) <= bound).all()


@pytest.mark.parametrize("seed", range(60))
def test_answers_stay_on_networks_of_every_operation(seed: int) -> None:
    graph = random_network(seed, products=True)
    low, high = ends(graph, seed)
    made, bound = leaned(graph, low, high)
    assert (gap(graph, made.graph, low, high) <= bound + 1e-13).all()
    assert bound.max() <= 1e-7 * (1 + float(boxes_of(graph, low, high)[-1].magnitude.max()))


@pytest.mark.parametrize("pad", [1, 0])
def test_active_channels_that_stay_are_named_with_the_reason(pad: int) -> None:
    generator = torch.Generator().manual_seed(0)
    first = Conv2d(torch.randn(4, 1, 3, 3, generator=generator).double(), torch.tensor([9.0, 0.0, 0.0, 12.0]).double())
    second = Conv2d(torch.randn(3, 4, 2, 2, generator=generator).double(), None, (1, 1), (pad, pad, pad, pad))
    builder = GraphBuilder((1, 5, 5))
    last = builder.add(Relu(), builder.add(first, 0, name="first"), name="relu")
    last = builder.add(second, last, name="second")
    graph = builder.build(builder.add(Reshape((int(np.prod(builder.nodes[last].shape)),)), last))
    (told,) = compress(graph, InputSet.of(*unit(graph))).log
    assert told.startswith("relu: 2 of 4 channels are active everywhere and stay: ")
    assert ("second pads" in told) == bool(pad)
