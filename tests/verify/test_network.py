"""Networks ready to be proven things about: their graphs agree, also along directions."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, MaxPool2d, Relu, Reshape, Softmax
from surefoot.spec.input_set import InputSet, LinearConstraints, Origin
from surefoot.spec.query import Query, Unsafe, other_classes
from surefoot.verify.network import Network, must_fit, region_to_query


def pooled(softmax: bool) -> Network:
    """A pool, a linear layer, perhaps a softmax."""
    builder = GraphBuilder((1, 2, 4))
    last = builder.add(Reshape((2,)), builder.add(MaxPool2d((2, 2), (2, 2)), 0))
    last = builder.add(Linear(torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]).double()), last)
    return Network.of(builder.build(builder.add(Softmax(), last) if softmax else last))


@pytest.mark.parametrize("softmax", [False, True])
def test_its_graphs_give_the_same_each_in_its_way(softmax: bool) -> None:
    network = pooled(softmax)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 1, 2, 4)))
    logits = evaluate(network.pooled, x)
    assert (network.inputs, network.outputs) == (8, 3)
    assert network.link == ("softmax" if softmax else "identity")
    assert not any(isinstance(node.op, MaxPool2d) for node in network.graph.nodes)
    assert any(isinstance(node.op, Relu) for node in network.graph.nodes)
    torch.testing.assert_close(evaluate(network.graph, x), logits)
    torch.testing.assert_close(evaluate(network.single, x.float()).double(), logits, rtol=1e-5, atol=1e-5)
    whole = logits.softmax(1) if softmax else logits
    torch.testing.assert_close(evaluate(network.whole, x), whole)
    assert np.allclose(network.run(x.flatten(1).numpy().astype(np.float32)), whole.numpy(), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_along_directions_it_is_the_network_of_the_inputs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = Network.of(random_network(seed))
    origin = Origin(
        rng.normal(size=network.inputs), rng.normal(size=(2, network.inputs)) * (rng.random(network.inputs) < 0.7)
    )
    along = network.along(origin)
    a = rng.uniform(-1, 1, size=(30, 2))
    x = torch.from_numpy(origin(a)).reshape(-1, *network.graph.input_shape)
    for there, here in ((along.graph, network.graph), (along.pooled, network.pooled), (along.whole, network.whole)):
        torch.testing.assert_close(evaluate(there, torch.from_numpy(a)), evaluate(here, x))
    assert along.moved is not None
    assert along.off is not None
    images = along.moved(a)
    assert images.dtype == np.float32
    assert np.array_equal(along.run(a), network.run(images))
    for point in a[:5]:  # how far the image that is run is from the exact one, not below it
        exact = [
            Fraction(c) + sum(Fraction(s) * Fraction(d) for s, d in zip(point.tolist(), column, strict=True))
            for c, column in zip(origin.centre.tolist(), origin.directions.T.tolist(), strict=True)
        ]
        (image,) = along.moved(point[None])
        far = max(abs(Fraction(float(v)) - e) for v, e in zip(image, exact, strict=True))
        assert far <= Fraction(along.off(point)) <= far * Fraction(1 + 1e-12)


def test_a_region_with_an_origin_becomes_one_of_coordinates() -> None:
    network = pooled(False)
    unsafe = other_classes(0, 3)
    constraints = LinearConstraints.of([[1, 1]], [1])
    region = InputSet(np.zeros(2), np.ones(2), constraints, Origin(np.zeros(8), np.eye(8)[:2]))
    there, query = region_to_query(network, region, unsafe)
    assert (there.inputs, there.outputs) == (2, 3)
    assert query.inputs.origin is None
    assert query.inputs.constraints is constraints
    assert query.unsafe == unsafe
    must_fit(there, query)
    box = InputSet(np.zeros(8), np.ones(8))
    assert region_to_query(network, box, unsafe)[0] is network


def test_queries_of_other_inputs_or_outputs_are_refused() -> None:
    network = pooled(False)
    with pytest.raises(InputError, match="has 2 inputs; the network takes 8"):
        must_fit(network, Query(InputSet(np.zeros(2), np.ones(2)), other_classes(0, 3)))
    with pytest.raises(InputError, match="about 4 outputs; the network gives 3"):
        must_fit(network, Query(InputSet(np.zeros(8), np.ones(8)), (Unsafe(np.ones((1, 4)), np.zeros(1)),)))
