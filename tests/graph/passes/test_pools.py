"""Max pooling as ReLUs: a tournament gives the largest of each window, padding apart."""

import numpy as np
import pytest
import torch

from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import MaxPool2d, Relu
from surefoot.graph.passes.pools import pools_as_relus


@pytest.mark.parametrize(
    ("pool", "relus"),
    [
        (MaxPool2d((2, 2), (2, 2)), 2),
        (MaxPool2d((3, 1), (1, 1)), 2),  # one goes through without a match
        (MaxPool2d((2, 3), (1, 2), (1, 1, 1, 0)), 3),
        (MaxPool2d((2, 2), (1, 1), dilation=(2, 3)), 2),
        (MaxPool2d((1, 1), (2, 3)), 0),
    ],
)
@pytest.mark.parametrize("level", [-100.0, 0.0])
def test_a_tournament_is_the_maximum(pool: MaxPool2d, relus: int, level: float) -> None:
    """Also of numbers far below 0, where padding with zeros would win."""
    builder = GraphBuilder((2, 4, 5))
    builder.add(pool, 0, name="pool")
    graph = builder.build()
    rewritten = pools_as_relus(graph)
    x = level + torch.from_numpy(np.random.default_rng(0).normal(size=(6, 2, 4, 5)))
    torch.testing.assert_close(evaluate(rewritten, x), evaluate(graph, x), rtol=0, atol=1e-12)
    assert not any(isinstance(node.op, MaxPool2d) for node in rewritten.nodes)
    assert sum(isinstance(node.op, Relu) for node in rewritten.nodes) == relus
    assert rewritten.output_shape == graph.output_shape
