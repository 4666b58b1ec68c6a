"""The matrix of an affine operation gives what the operation gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import Node, apply
from surefoot.graph.ops import Affine, Conv2d, Relu
from surefoot.proof.matrices import affine_matrix


@pytest.mark.parametrize("seed", range(40))
def test_matrices_are_the_operations(seed: int) -> None:
    graph = random_network(seed)
    for node in graph.nodes:
        if isinstance(node.op, Affine):
            given = graph.nodes[node.inputs[0]].shape
            x = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, *given)))
            matrix, bias = affine_matrix(node, given)
            made = (matrix @ x.flatten(1).numpy().T).T + bias
            assert np.allclose(made, apply(node.op, [x]).flatten(1).numpy(), rtol=1e-12, atol=1e-12)


def test_groups_strides_and_dilation() -> None:
    rng = np.random.default_rng(0)
    op = Conv2d(
        torch.from_numpy(rng.normal(size=(4, 2, 2, 3))), torch.ones(4).double(), (2, 1), (1, 0, 2, 1), (2, 1), 2
    )
    given = (4, 5, 6)
    node = Node("conv", op, (0,), op.shape(given))
    x = torch.from_numpy(rng.normal(size=(2, *given)))
    matrix, bias = affine_matrix(node, given)
    assert np.allclose((matrix @ x.flatten(1).numpy().T).T + bias, apply(op, [x]).flatten(1).numpy())


def test_what_is_not_affine_or_would_be_rounded_is_refused() -> None:
    with pytest.raises(InputError, match="Relu"):
        affine_matrix(Node("r", Relu(), (0,), (2,)), (2,))
    op = Conv2d(torch.ones(1, 1, 1, 2).double())
    twice = replace(op, dilation=(1, 0))  # both weights read one element: their sum would be rounded
    with pytest.raises(InputError, match="twice"):
        affine_matrix(Node("c", twice, (0,), (1, 1, 2)), (1, 1, 2))
