"""Errors of float32 evaluations: every operation's bound holds of what PyTorch computes, and the allowance is wider."""

import numpy as np
import pytest
import torch
from torch import Tensor

from networks import random_network
from surefoot.graph.graph import Graph, GraphBuilder, apply, evaluate, fold
from surefoot.graph.ops import Add, ElementwiseAffine, Linear, Mul, Relu, Softmax
from surefoot.spec.float32 import SLACK, allowed, with_error


def carried(graph: Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs in float64 of float32 inputs, and how far float32 may be from them."""
    begin = (x.double(), torch.zeros_like(x, dtype=torch.float64))
    return fold(graph.to(torch.float64), begin, with_error)[-1]


def with_end(graph: Graph, end: Softmax | None) -> Graph:
    builder = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        builder.add(node.op, *node.inputs)
    if end is not None:
        builder.add(end, len(builder.nodes) - 1)
    return builder.build()


@pytest.mark.parametrize("end", [None, Softmax(), Softmax(log=True)], ids=["logits", "softmax", "log-softmax"])
@pytest.mark.parametrize("seed", range(12))
def test_float32_is_within_the_error(seed: int, end: Softmax | None) -> None:
    graph = with_end(random_network(seed, products=True), end).to(torch.float32)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(50, *graph.input_shape))).float()
    y, error = carried(graph, x)
    single = evaluate(graph, x).double()
    assert bool(((single - y).abs() <= error).all())
    torch.testing.assert_close(y, evaluate(graph.to(torch.float64), x.double()))
    largest = torch.ones(50, 1).double()
    assert bool((allowed(y, error, single, largest) >= (single - y).abs()).all())


def test_errors_go_through_layers_as_they_are_written() -> None:
    """An error of 1 becomes |W| 1 and the rounding of a sum; what a ReLU clears away errs by nothing."""
    builder = GraphBuilder((2,))
    linear = builder.nodes[builder.add(Linear(torch.tensor([[2.0, -3.0], [0.0, 0.0]]).double()), 0)]
    relu = builder.nodes[builder.add(Relu(), 1)]
    x, one = torch.tensor([[5.0, 1.0]]).double(), torch.ones(1, 2).double()
    y, error = with_error(linear, [(x, one)])
    assert y.tolist() == [[7.0, 0.0]]
    assert error[0, 0] == pytest.approx(5.0, rel=1e-5)
    assert float(error[0, 0]) > 5
    assert float(error[0, 1]) < 1e-30
    far = torch.tensor([[-5.0, 0.5]]).double()
    y, error = with_error(relu, [(far, one)])
    assert (y.tolist(), error.tolist()) == ([[0.0, 0.5]], [[0.0, 1.0]])


def test_errors_of_sums_add_and_those_of_products_cross() -> None:
    builder = GraphBuilder((1,))
    total, product = (builder.nodes[builder.add(op, 0, 0)] for op in (Add(), Mul()))
    x = (torch.tensor([[2.0]]).double(), torch.tensor([[0.1]]).double())
    given = [x, (torch.tensor([[-3.0]]).double(), torch.tensor([[0.2]]).double())]
    for node, value, error in ((total, -1.0, 0.3), (product, -6.0, 2 * 0.2 + 3 * 0.1 + 0.1 * 0.2)):
        found, bound = with_error(node, given)
        assert float(found) == value
        assert error < float(bound) < error + 1e-5


def test_the_allowance_is_the_bound_where_that_is_small_and_never_infinite_for_nothing() -> None:
    y, single, largest = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[1.0, 2.0]]).double(), torch.ones(1, 1)
    tiny, wide = torch.full((1, 2), 1e-9).double(), torch.full((1, 2), 1e9).double()
    assert torch.equal(allowed(y, tiny, single, largest), SLACK * tiny)
    assert bool((allowed(y, wide, single, largest) < 0.01).all())
    lost = torch.tensor([[torch.nan, 2.0]]).double()  # float32 gave no number: the bound alone is left
    assert bool((allowed(y, tiny, lost, largest) == SLACK * tiny).all())


def test_a_scale_errs_by_a_few_units() -> None:
    builder = GraphBuilder((1,))
    node = builder.nodes[builder.add(ElementwiseAffine(torch.tensor(3.0).double()), 0)]
    x = torch.tensor([[1.0]]).double()
    y, error = with_error(node, [(x, torch.zeros_like(x))])
    assert torch.equal(y, apply(node.op, [x]))
    assert 3 * 2**-24 <= float(error) <= 3 * 2**-19
