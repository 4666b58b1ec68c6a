"""Queries of random networks, and networks whose bounds need many halvings."""

import numpy as np
import torch

from networks import random_box
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear, Relu, Softmax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.network import Network


def asked(graph: Graph, seed: int, rows: int = 3) -> Query:
    """Two unsafe sets of so many random rows, over a random box."""
    lower, upper = random_box(graph, seed)
    weights = np.random.default_rng(seed).normal(size=(2, rows, graph.output_shape[0]))
    return Query(InputSet(lower, upper), tuple(Unsafe(w, np.zeros(rows)) for w in weights))


def folded(seed: int) -> Graph:
    """Two layers of ReLUs over three inputs: bounds need many halvings."""
    generator = torch.Generator().manual_seed(seed)
    builder = GraphBuilder((3,))
    last = 0
    for inputs, outputs in ((3, 16), (16, 16), (16, 2)):
        weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5
        last = builder.add(Linear(weight, torch.randn(outputs, generator=generator, dtype=torch.float64) / 4), last)
        last = builder.add(Relu(), last) if outputs == 16 else last
    return builder.build(last)


def softmax_network(seed: int, log: bool) -> Network:
    """Two inputs, three classes, a softmax or its logarithm at the end."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((2,))
    last = builder.add(Relu(), builder.add(Linear(torch.from_numpy(rng.normal(size=(5, 2)))), 0))
    last = builder.add(Linear(torch.from_numpy(2 * rng.normal(size=(3, 5)))), last)
    return Network.of(builder.build(builder.add(Softmax(log), last)))
