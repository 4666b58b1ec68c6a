"""Products of a value and its function become one function: the same network, with tighter bounds."""

from functools import partial

import numpy as np
import pytest
import torch

from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.ops import Add, Elementwise, ElementwiseAffine, Linear, Mul
from surefoot.graph.passes.functions import with_joined_functions
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax


def product(names: tuple[str, ...], first: bool, again: bool = False) -> Graph:
    rng = np.random.default_rng(0)
    builder = GraphBuilder((3,))
    value = last = builder.add(Linear(torch.from_numpy(rng.normal(size=(4, 3)))), 0)
    for name in names:
        last = builder.add(Elementwise(name), last)
    out = builder.add(Mul(), *((value, last) if first else (last, value)))
    return builder.build(builder.add(Add(), out, last) if again else out)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("names", "joined"), [(("Sigmoid",), "Silu"), (("Softplus", "Tanh"), "Mish")])
def test_it_is_the_same_function_with_tighter_bounds(
    names: tuple[str, ...], joined: str, first: bool, again: bool
) -> None:
    graph = product(names, first, again)  # `again`: the inner function is needed elsewhere, too
    short = with_joined_functions(graph)
    assert sum(node.op == Elementwise(joined) for node in short.nodes) == 1
    assert not any(isinstance(node.op, Mul) for node in short.nodes)
    assert len(short.nodes) < len(graph.nodes) or again
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 3)) * 3)
    assert torch.allclose(evaluate(graph, x), evaluate(short, x), rtol=1e-13, atol=1e-13)
    region = Box(-torch.ones(1, 3).double(), torch.ones(1, 3).double())
    wide, tight = (relax(g, region, REAL).boxes[-1] for g in (graph, short))
    assert bool((tight.upper - tight.lower < wide.upper - wide.lower).all())


def test_other_products_stay() -> None:
    for names in (("Tanh",), ("Sigmoid", "Tanh")):
        graph = product(names, True)
        assert with_joined_functions(graph) is graph
    builder = GraphBuilder((2,))
    moved = builder.add(ElementwiseAffine(torch.tensor([2.0]).double()), 0)
    builder.add(Mul(), 0, builder.add(Elementwise("Sigmoid"), moved))
    other = builder.build()
    assert with_joined_functions(other) is other  # of another value


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_gelu_as_exporters_write_it(first: bool, before: bool) -> None:
    """X (1 + erf(x / c)), c the root of 2 in float32, halved before the product or after it."""
    rng = np.random.default_rng(0)
    one, half, inverse = (torch.tensor(v, dtype=torch.float64) for v in (1.0, 0.5, 1 / float(np.float32(2**0.5))))
    builder = GraphBuilder((3,))
    value = builder.add(Linear(torch.from_numpy(rng.normal(size=(4, 3)))), 0)
    erf = builder.add(Elementwise("Erf"), builder.add(ElementwiseAffine(inverse), value))
    above = builder.add(ElementwiseAffine(one, one), erf)
    left = builder.add(ElementwiseAffine(half), value) if before else value
    last = builder.add(Mul(), *((left, above) if first else (above, left)))
    graph = builder.build(last if before else builder.add(ElementwiseAffine(half), last))
    short = with_joined_functions(graph)
    assert not any(isinstance(node.op, Mul) or node.op == Elementwise("Erf") for node in short.nodes)
    x = torch.from_numpy(rng.normal(size=(50, 3)) * 3)
    assert torch.allclose(evaluate(graph, x), evaluate(short, x), rtol=1e-12, atol=1e-13)
    again = graph_of_onnx(onnx_of_graph(short, torch.float64))
    assert torch.allclose(evaluate(graph, x), evaluate(again, x), rtol=1e-12, atol=1e-13)
    region = Box(-torch.ones(1, 3).double(), torch.ones(1, 3).double())
    wide, tight = (relax(g, region, REAL).boxes[-1] for g in (graph, short))
    assert bool((tight.upper - tight.lower < wide.upper - wide.lower).all())


def test_what_is_nearly_a_gelu_stays() -> None:
    number = partial(torch.tensor, dtype=torch.float64)
    for shift, inverse, other in ((2.0, 0.7, False), (1.0, -0.7, False), (1.0, 0.7, True)):
        builder = GraphBuilder((2,))
        erf = builder.add(Elementwise("Erf"), builder.add(ElementwiseAffine(number(inverse)), 0))
        above = builder.add(ElementwiseAffine(number(1.0), number(shift)), erf)
        left = builder.add(ElementwiseAffine(number([1.0, 2.0])), 0) if other else 0
        graph = builder.build(builder.add(Mul(), left, above))
        assert with_joined_functions(graph) is graph
