"""Products of a value and its function become one function: the same network, with tighter bounds."""

import numpy as np
import pytest
import torch

from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
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
