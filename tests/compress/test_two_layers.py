"""All regions as two layers: exact on most of the box."""

import numpy as np
import pytest
import torch

from planted import dense
from surefoot.compress.two_layers import share_exact, two_layers
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.ops import Relu
from surefoot.spec.input_set import InputSet


def box(d: int, size: float = 2.0) -> InputSet:
    return InputSet(np.full(d, -size), np.full(d, size))


@pytest.mark.parametrize("seed", range(4))
def test_two_layers_are_exact_on_most_of_the_box_and_more_so_when_sharper(seed: int) -> None:
    graph, domain = dense(seed, (), (5, 4), 2), box(2)
    x = torch.from_numpy(np.random.default_rng(seed).uniform(-2, 2, size=(4000, 2)))
    y = evaluate(graph, x).numpy()
    shares = []
    for sharpness in (1e1, 1e3, 1e5):
        made = two_layers(graph, domain, sharpness)
        assert sum(isinstance(node.op, Relu) for node in made.nodes) == 2
        shares.append(share_exact(y, evaluate(made, x).numpy()))
    assert shares == sorted(shares)
    assert shares[1] > 0.9
    assert shares[2] > 0.999
    with pytest.raises(InputError, match="sharpness"):
        two_layers(graph, domain, 0.0)
