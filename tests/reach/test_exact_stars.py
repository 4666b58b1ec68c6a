"""Exact stars: the leaves together are the image, and each is the network where its signs hold."""

import numpy as np
import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, MaxPool2d, Mul, Relu, Reshape
from surefoot.reach.exact_stars import exact
from surefoot.reach.star_state import begin
from surefoot.spec.input_set import InputSet
from surefoot.verify.stars import star_of_inputs

SQUARE = InputSet(-np.ones(2), np.ones(2))


def small(seed: int, pool: bool) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    builder = GraphBuilder((2,))
    last = builder.add(Linear(torch.randn(8, 2, generator=generator).double(), torch.randn(8).double()), 0)
    if pool:
        last = builder.add(MaxPool2d((2, 2), (2, 2)), builder.add(Reshape((1, 2, 4)), last))
        last = builder.add(Reshape((2,)), last)
    else:
        last = builder.add(Relu(), last)
    width = builder.nodes[last].shape[0]
    return builder.build(builder.add(Linear(torch.randn(1, width, generator=generator).double()), last))


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_least_value_over_the_leaves_is_that_of_the_network(seed: int, pool: bool) -> None:
    """A grid comes within its spacing of it from above; no leaf lies above what was met."""
    graph = small(seed, pool)
    leaves = list(exact(graph, begin(star_of_inputs(SQUARE, (2,)))))
    assert len(leaves) > 1
    least = min(float(leaf.star.minimum(torch.ones(1, dtype=torch.float64))) for leaf in leaves)
    side = torch.linspace(-1, 1, 401, dtype=torch.float64)
    met = float(evaluate(graph, torch.cartesian_prod(side, side)).min())
    assert least <= met <= least + 0.1


def test_a_branch_that_is_proven_is_not_propagated() -> None:
    graph = small(0, False)
    assert list(exact(graph, begin(star_of_inputs(SQUARE, (2,))), proven=lambda _: True)) == []


def test_a_product_has_no_exact_star() -> None:
    builder = GraphBuilder((2,))
    graph = builder.build(builder.add(Mul(), 0, 0))
    with pytest.raises(InputError, match="a product of branches has no exact star"):
        list(exact(graph, begin(star_of_inputs(SQUARE, (2,)))))
