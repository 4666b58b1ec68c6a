"""Fusing affine operations: the same function of fewer nodes."""

import pytest
import torch

from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Add, Conv2d, ElementwiseAffine, Gather, Linear, Op, Relu, Reshape
from surefoot.graph.passes.affine import fused

GENERATOR = torch.Generator().manual_seed(0)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=GENERATOR)


def chain(shape: tuple[int, ...], *ops: Op) -> Graph:
    builder = GraphBuilder(shape)
    for op in ops:
        builder.add(op, len(builder.nodes) - 1)
    return builder.build()


CHAINS: dict[str, tuple[tuple[int, ...], tuple[Op, ...]]] = {
    "linear, linear": ((6,), (Linear(numbers(4, 6), numbers(4)), Linear(numbers(2, 4), numbers(2)))),
    "linear, scale": ((6,), (Linear(numbers(4, 6)), ElementwiseAffine(numbers(4), numbers(1)))),
    "scale, linear": ((6,), (ElementwiseAffine(numbers(6), numbers(6)), Linear(numbers(4, 6), numbers(4)))),
    "scale, scale": ((3, 2), (ElementwiseAffine(numbers(3, 1), numbers(2)), ElementwiseAffine(numbers(2)))),
    "conv, scale": (
        (2, 4, 4),
        (
            Conv2d(numbers(3, 2, 2, 2), numbers(3), (2, 1), (1, 0, 0, 1)),
            ElementwiseAffine(numbers(3, 1, 1), numbers(1)),
        ),
    ),
    "scale, conv": (
        (2, 4, 4),
        (ElementwiseAffine(numbers(2, 1, 1), numbers(2, 1, 1)), Conv2d(numbers(3, 2, 2, 2), numbers(3))),
    ),
    "gather, gather": ((6,), (Gather(torch.tensor([5, -1, 2])), Gather(torch.tensor([[0, 1], [-1, 2]])))),
    "gather, reshape": ((6,), (Gather(torch.tensor([5, -1, 2, 2])), Reshape((2, 2)))),
    "reshape, reshape": ((6,), (Reshape((2, 3)), Reshape((3, 2)))),
}


@pytest.mark.parametrize("name", CHAINS)
def test_two_become_one(name: str) -> None:
    shape, ops = CHAINS[name]
    graph = chain(shape, *ops)
    x = numbers(5, *shape)
    assert len(fused(graph).nodes) == 2
    torch.testing.assert_close(evaluate(fused(graph), x), evaluate(graph, x))


def test_padding_is_not_shifted() -> None:
    """A shift before a padded convolution does not reach the padding: these two stay apart."""
    graph = chain(
        (1, 3, 3), ElementwiseAffine(numbers(1), numbers(1)), Conv2d(numbers(2, 1, 3, 3), None, padding=(1, 1, 1, 1))
    )
    x = numbers(5, 1, 3, 3)
    assert len(fused(graph).nodes) == 3
    torch.testing.assert_close(evaluate(fused(graph), x), evaluate(graph, x))


def test_what_does_nothing_is_dropped() -> None:
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    graph = chain((4,), ElementwiseAffine(one, zero), Relu(), Reshape((4,)), Gather(torch.arange(4)))
    assert [type(node.op) for node in fused(graph).nodes[1:]] == [Relu]


def test_a_wide_product_of_narrow_layers_stays_factored() -> None:
    graph = chain((8,), Linear(numbers(1, 8)), Linear(numbers(8, 1)))
    assert len(fused(graph).nodes) == 3  # 16 weights, 64 as one


def test_a_value_that_two_use_stays() -> None:
    builder = GraphBuilder((3,))
    shared = builder.add(Linear(numbers(3, 3)), 0)
    builder.add(Add(), builder.add(Linear(numbers(3, 3)), shared), shared)
    graph = builder.build()
    x = numbers(5, 3)
    assert len(fused(graph).nodes) == len(graph.nodes)
    torch.testing.assert_close(evaluate(fused(graph), x), evaluate(graph, x))
