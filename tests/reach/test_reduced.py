"""The reduced network is the network: its matrices give the values of every layer and of the outputs."""

import numpy as np
import pytest
import torch

from cases import first
from networks import random_box, random_network, samples
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, apply, fold
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.reach.ibp import Box
from surefoot.reach.reduced import ReducedNetwork, is_reducible
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import LinearConstraints


def relaxed(seed: int, products: bool = False, multi_neuron: bool = False) -> tuple[Relaxation, Graph, torch.Tensor]:
    graph = pools_as_relus(random_network(seed, products))
    lower, upper = random_box(graph, seed)
    shape = (1, *graph.input_shape)
    box = Box(torch.from_numpy(lower).reshape(shape), torch.from_numpy(upper).reshape(shape))
    x = samples(lower, upper, graph, 50, seed)
    return relax(graph, box, REAL, tighten_by_crown, multi_neuron=multi_neuron), graph, x


@pytest.mark.parametrize("seed", first(12, range(150)))
def test_matrices_give_the_values_of_the_network(seed: int) -> None:
    relaxation, graph, x = relaxed(seed)
    network = ReducedNetwork.of(relaxation)
    assert network is not None
    values = fold(graph, x, lambda node, inputs: apply(node.op, inputs))
    point = x.flatten(1)[:, network.free].float()
    assert network.count == sum(int(relaxation.unstable(at).sum()) for at in relaxation.relus())
    for layer in network.layers:
        z = point @ layer.matrix.T + layer.bias
        truth = values[layer.relu.entering].flatten(1)[:, layer.relu.values]
        assert torch.allclose(z.double(), truth, atol=1e-4 * (1 + float(truth.abs().max())))
        point = torch.cat([point, z.clamp(min=0)], 1)
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=(4, 3))).float()
    rows = network.rows(len(graph.nodes) - 1, weights)
    truth = values[-1] @ weights.double().T
    found = point @ rows.matrix.T + rows.bias
    assert torch.allclose(found.double(), truth, atol=1e-4 * (1 + float(values[-1].abs().max())))


@pytest.mark.parametrize("seed", range(4))
def test_layers_can_be_added_as_boxes_become_known(seed: int) -> None:
    relaxation, graph, _ = relaxed(seed)
    whole = ReducedNetwork.of(relaxation)
    assert whole is not None
    cut = Relaxation(graph, relaxation.boxes[:1], relaxation.errors[:1], relaxation.sizes[:1])
    grown = ReducedNetwork.begin(cut)
    for at in range(1, len(graph.nodes)):
        cut.boxes.append(relaxation.boxes[at])
        grown.see(cut)
    assert len(grown.layers) == len(whole.layers)
    for one, two in zip(grown.layers, whole.layers, strict=True):
        assert torch.equal(one.matrix, two.matrix)
        assert torch.equal(one.bias, two.bias)


def test_what_cannot_be_reduced_is_refused() -> None:
    refused = 0
    for seed in range(20):
        relaxation, graph, _ = relaxed(seed, products=True)
        products = any(type(node.op).__name__ == "Mul" for node in graph.nodes)
        assert is_reducible(relaxation) == (not products)
        assert (ReducedNetwork.of(relaxation) is None) == products
        refused += products
    assert refused
    relaxation, graph, _ = relaxed(0)
    size = int(np.prod(graph.input_shape))
    constraints = LinearConstraints(np.ones((1, size)), np.ones(1))
    box = relaxation.boxes[0]
    assert not is_reducible(relax(graph, box, REAL, constraints=constraints))
    two = Box(box.lower.repeat(2, *[1] * (box.lower.dim() - 1)), box.upper.repeat(2, *[1] * (box.lower.dim() - 1)))
    assert not is_reducible(relax(graph, two, REAL))
