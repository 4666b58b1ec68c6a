"""Operations: the adjoint and the magnitude of affine ones, and windows of pools."""

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import apply
from surefoot.graph.ops import (
    Add,
    Concat,
    Conv2d,
    Elementwise,
    Gather,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
    Softmax,
)


def test_an_affine_operation_its_adjoint_and_magnitude() -> None:
    """<W x, a> = <x, W' a>, and |W x| <= |W| |x|."""
    for seed in range(20):
        graph = random_network(seed)
        rng = np.random.default_rng(seed)
        for node in graph.nodes[1:]:
            if not isinstance(node.op, Input | Relu | Elementwise | MaxPool2d | Add | Mul | Concat | Softmax):
                given = graph.nodes[node.inputs[0]].shape
                x, a = (torch.from_numpy(rng.normal(size=(2, *s))) for s in (given, node.shape))
                forward = (node.op.linear(x) * a).flatten(1).sum(1)
                assert torch.allclose(forward, (x * node.op.adjoint(a, given)).flatten(1).sum(1))
                assert bool((node.op.linear(x).abs() <= node.op.absolute(x.abs()) + 1e-12).all())


def test_windows_of_a_pool_hold_what_it_compares() -> None:
    """The largest of each window, element by element, is what the pool gives; padding is -1, and never the largest."""
    pool = MaxPool2d((2, 3), (2, 1), (1, 0, 0, 1), (1, 2))
    given = (2, 5, 6)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, *given)))
    windows = pool.windows(given)
    flat = torch.cat([x.flatten(1), torch.full((3, 1), -torch.inf)], 1)  # -1 takes the last
    assert torch.equal(flat[:, windows].amax(2).reshape(3, *pool.shape(given)), apply(pool, [x]))
    with pytest.raises(InputError, match="lies in the padding alone"):
        MaxPool2d((1, 1), (1, 1), (1, 0, 0, 0)).shape(given)


def test_gather_is_a_matrix_of_ones_and_zeros() -> None:
    op = Gather(torch.tensor([[3, -1], [3, 0]]))
    x = torch.arange(1.0, 9.0).reshape(2, 2, 2)
    assert op.linear(x).tolist() == [[[4.0, 0.0], [4.0, 1.0]], [[8.0, 0.0], [8.0, 5.0]]]
    assert op.adjoint(torch.ones(1, 2, 2), (2, 2)).tolist() == [[[1.0, 0.0], [0.0, 2.0]]]


@pytest.mark.parametrize(
    ("op", "given", "message"),
    [
        (Linear(torch.ones(2, 3)), (4,), "a linear layer of 3 inputs was given"),
        (Conv2d(torch.ones(2, 3, 2, 2)), (1, 4, 4), "a convolution of 3 channels was given"),
        (Conv2d(torch.ones(2, 1, 5, 5)), (1, 4, 4), "does not fit an image"),
        (Gather(torch.tensor([4])), (2, 2), "element 4 was asked"),
        (Reshape((5,)), (2, 2), "cannot take the shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    op: Linear | Conv2d | Gather | Reshape, given: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        op.shape(given)
