"""An explanation names the neurons that are unstable, and where the bound loses."""

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from surefoot.core.deadline import Deadline
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe, robustness
from surefoot.verify import large
from surefoot.verify.explain import explain
from surefoot.verify.network import Network


def network_of(graph: Graph) -> Network:
    return Network.of(graph, lambda x: evaluate(graph, torch.from_numpy(x).double()).numpy())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("is_large", [False, True])
def test_shares_sum_to_one_and_the_bound_holds(seed: int, is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_large:
        monkeypatch.setattr(large, "LARGE", 0)
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    query = robustness(InputSet(lower, upper), 0, 3)
    found = explain(network_of(graph), query)
    assert found is not None
    slack = query.slack(evaluate(graph, samples(lower, upper, graph, 100, seed)).numpy())
    assert slack.min() >= found.bound - 1e-9
    shares = [layer.share for layer in found.layers]
    assert sum(shares) == pytest.approx(1) or not any(shares)
    assert sum(neuron.share for neuron in found.neurons) <= 1 + 1e-9
    assert all(neuron.lower < 0 < neuron.upper for neuron in found.neurons)
    assert [n.share for n in found.neurons] == sorted((n.share for n in found.neurons), reverse=True)
    assert all(layer.unstable <= layer.values for layer in found.layers)


def test_it_names_the_one_neuron_that_matters() -> None:
    """relu(x0) - relu(x0 + 5) / 9 + relu(x1 - 9): the first is unstable, the second is on, the third is off."""
    builder = GraphBuilder((2,))
    rows = torch.tensor([[1.0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    hidden = builder.add(Linear(rows, torch.tensor([0.0, 5, -9], dtype=torch.float64)), 0)
    hidden = builder.add(Relu(), hidden, name="hidden")
    graph = builder.build(builder.add(Linear(torch.tensor([[-1.0, -1 / 9, 1]], dtype=torch.float64)), hidden))
    query = Query(InputSet.of([-1, -1], [1, 1]), (Unsafe(np.ones((1, 1)), np.array([-3.0])),))
    found = explain(network_of(graph), query, Deadline.of(10))
    assert found is not None
    assert [(n.layer, n.place, n.share) for n in found.neurons] == [("hidden", (0,), 1.0)]
    assert (found.layers[0].unstable, found.layers[0].values) == (1, 3)
