"""Compression of whole networks: every layer, every channel, down to one map."""

import pytest

from cases import first
from planted import box, convolutional, dense, largest_gap
from surefoot.compress.equal import equal
from surefoot.compress.transform import compress
from surefoot.graph.ops import Relu
from surefoot.graph.passes.pools import pools_as_relus


@pytest.mark.parametrize("seed", first(2, range(6)))
@pytest.mark.parametrize("pooled", [True, False])
def test_dead_channels_go(seed: int, pooled: bool) -> None:
    graph = convolutional(seed, pooled=pooled)
    made = compress(graph, box(graph), seconds=0.2)
    assert made.removed["channel"] >= 3
    assert largest_gap(graph, made.graph) < 1e-12
    found = equal(pools_as_relus(graph), pools_as_relus(made.graph), box(graph), seconds=0.2)
    assert found.largest < 1e-9


def test_a_network_that_is_linear_over_its_domain_becomes_one_map() -> None:
    graph = dense(1, ("active", "inactive"), (2, 2))
    made = compress(graph, box(graph))
    assert not any(isinstance(node.op, Relu) for node in made.graph.nodes)
    assert largest_gap(graph, made.graph) < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_every_layer_of_a_deep_network_is_rewritten(seed: int) -> None:
    graph = dense(seed, ("inactive", "constant"), (6,) * 12)
    made = compress(graph, box(graph), seconds=0.05)
    left = [node.shape[0] for node in made.graph.nodes if isinstance(node.op, Relu)]
    assert all(units <= 4 for units in left)
    assert largest_gap(graph, made.graph) < 1e-9
