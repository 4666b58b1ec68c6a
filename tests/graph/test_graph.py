"""Graphs: built with shapes that fit, of what leads to the output, and evaluated node by node."""

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, apply, evaluate, fold
from surefoot.graph.ops import Add, Concat, Linear, Relu, Softmax

SQUARE = Linear(torch.tensor([[1.0, 2.0], [0.0, -1.0]]).double(), torch.tensor([0.5, 0.0]).double())


@pytest.mark.parametrize("seed", range(5))
def test_evaluation_is_a_fold_that_lets_go_of_what_nobody_needs(seed: int) -> None:
    graph = random_network(seed, products=True)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, *graph.input_shape)))
    values = fold(graph, x, lambda node, given: apply(node.op, given))
    assert [tuple(value.shape[1:]) for value in values] == [node.shape for node in graph.nodes]
    assert torch.equal(evaluate(graph, x), values[-1])


def test_what_does_not_lead_to_the_output_is_dropped() -> None:
    builder = GraphBuilder((2,))
    line = builder.add(SQUARE, 0)
    builder.add(Relu(), 0, name="unused")
    output = builder.add(Add(), line, line, name="twice")
    builder.add(Relu(), output, name="after")
    graph = builder.build(output)
    assert [node.name for node in graph.nodes] == ["input", "linear_1", "twice"]
    assert evaluate(graph, torch.tensor([[1.0, 1.0]]).double()).tolist() == [[7.0, -2.0]]


def test_weights_are_counted_once_and_change_their_type() -> None:
    builder = GraphBuilder((2,))
    builder.add(SQUARE, 0)
    graph = builder.build()
    op = graph.nodes[1].op
    assert isinstance(op, Linear)
    op.absolute(torch.ones(1, 2).double())  # it keeps magnitudes, which are no weights
    assert graph.parameters() == 6
    assert evaluate(graph.to(torch.float32), torch.ones(1, 2)).dtype == torch.float32


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    builder = GraphBuilder((2,))
    other = builder.add(Linear(torch.ones(3, 2)), 0)
    with pytest.raises(InputError, match=r"node 'sum': shapes \(2,\) and \(3,\) differ"):
        builder.add(Add(), 0, other, name="sum")
    image = GraphBuilder((2, 2))
    wide = image.add(Linear(torch.ones(3, 2)), 0)
    with pytest.raises(InputError, match="cannot be joined along axis 0"):
        image.add(Concat(0), 0, wide)
    assert image.nodes[image.add(Concat(1), 0, wide)].shape == (2, 5)
    with pytest.raises(InputError, match="holds no value"):
        GraphBuilder((2, 0))
    with pytest.raises(InputError, match=r"takes inputs of shape \(2,\), given \(3,\)"):
        evaluate(builder.build(), torch.ones(1, 3))


def test_a_softmax_stands_last() -> None:
    builder = GraphBuilder((2,))
    builder.add(Relu(), builder.add(Softmax(), 0, name="p"))
    with pytest.raises(InputError, match="node 'p': a softmax is read only as the last operation"):
        builder.build()
