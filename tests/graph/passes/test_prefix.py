"""Operations before a network: the composition, and chains that end where the network begins."""

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import ElementwiseAffine, Linear, Reshape
from surefoot.graph.passes.prefix import prefixed


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_composition(seed: int) -> None:
    graph = random_network(seed)
    rng = np.random.default_rng(seed)
    size = int(np.prod(graph.input_shape))
    ops = (
        Linear(torch.from_numpy(rng.normal(size=(size, 2))), torch.from_numpy(rng.normal(size=size))),
        Reshape(graph.input_shape),
        ElementwiseAffine(torch.tensor(0.5).double()),
    )
    z = torch.from_numpy(rng.normal(size=(4, 2)))
    x = z
    for op in ops:
        x = op(x)
    found = prefixed(graph, (2,), ops)
    assert found.input_shape == (2,)
    assert torch.equal(evaluate(found, z), evaluate(graph, x))


def test_a_chain_that_ends_elsewhere_is_refused() -> None:
    builder = GraphBuilder((3,))
    builder.add(Linear(torch.ones(2, 3).double()), 0)
    with pytest.raises(InputError, match=r"of 3 inputs was given values of shape \(4,\)"):
        prefixed(builder.build(), (2,), (Linear(torch.ones(4, 2).double()),))
