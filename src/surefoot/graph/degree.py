"""Is a network a polynomial, and of which degree? What makes it something else is named."""

from dataclasses import dataclass

import torch
from torch import nn

from surefoot.graph.graph import Graph, fold
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.graph.torch_in import graph_of_module

# they divide by a statistic of the input, compare, or bend it: rational, piecewise or neither, also in evaluation mode
_IMPURE = (
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Hardtanh, nn.Tanh, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Softmax, nn.LogSoftmax, nn.Softsign, nn.GLU,
)  # fmt: skip


@dataclass(frozen=True)
class Degree:
    """The degree of a polynomial network, or None and what makes it none.

    The degree is that of its expression: an upper bound, reached but for coefficients that cancel.
    """

    degree: int | None
    offenders: tuple[str, ...] = ()


def degree_of(graph: Graph) -> Degree:
    """Return the degree of a graph's outputs as polynomials of its inputs; a softmax at the end is not counted.

    >>> from surefoot.graph.graph import GraphBuilder
    >>> builder = GraphBuilder((2,))
    >>> _ = builder.add(Mul(), 0, builder.add(Mul(), 0, 0))
    >>> degree_of(builder.build())
    Degree(degree=3, offenders=())
    """
    offenders = tuple(
        f"{node.name}: {node.op.name if isinstance(node.op, Elementwise) else type(node.op).__name__}"
        for node in graph.nodes
        if isinstance(node.op, Relu | MaxPool2d | Elementwise)
    )
    if offenders:
        return Degree(None, offenders)

    def rule(node: object, given: list[int]) -> int:
        match node.op:  # type: ignore[attr-defined]
            case Mul():
                return given[0] + given[1]
            case Affine() | Add() | Concat() | Softmax():
                return max(given)
            case op:
                assert not isinstance(op, Input)
                raise AssertionError(op)

    return Degree(fold(graph, 1, rule)[-1])


def polynomial_degree(module: nn.Module, example: torch.Tensor) -> Degree:
    """Return the degree of a module in evaluation mode, where batch normalisation is affine, or what makes it none.

    Modules that are known not to be polynomials are named by their place; what else bends is found in the graph.

    Raises:
        InputError: the module cannot be exported, or holds an operation that is not known.
    """
    offenders = tuple(f"{name}: {type(m).__name__}" for name, m in module.named_modules() if isinstance(m, _IMPURE))
    return Degree(None, offenders) if offenders else degree_of(graph_of_module(module, example))
