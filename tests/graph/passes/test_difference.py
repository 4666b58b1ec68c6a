"""The graph of a difference: the difference of the values, and only of networks that can be compared."""

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.graph.passes.difference import difference_of


@pytest.mark.parametrize("seed", range(5))
def test_its_values_are_the_difference_of_the_values(seed: int) -> None:
    first = random_network(seed)
    builder = GraphBuilder(first.input_shape)
    for node in first.nodes[1:]:
        builder.add(node.op, *node.inputs)
    builder.add(Relu(), len(builder.nodes) - 1)
    second = builder.build()
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(4, *first.input_shape)))
    assert torch.equal(evaluate(difference_of(first, second), x), evaluate(first, x) - evaluate(second, x))
    assert not evaluate(difference_of(first, first), x).any()


def test_networks_of_other_inputs_or_outputs_are_refused() -> None:
    builder = GraphBuilder((2,))
    builder.add(Linear(torch.ones(3, 2).double()), 0)
    with pytest.raises(InputError, match=r"from \(2,\) to \(3,\) and from \(2,\) to \(2,\) cannot be compared"):
        difference_of(builder.build(), GraphBuilder((2,)).build())
