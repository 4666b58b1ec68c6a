"""A network's values at one input, far closer than float64 gives them: what bounds of a small region are taken around.

Rounding is relative to what is computed. Around a point, sets and bounds speak of deviations from its values, so that
what they lose is relative to the region's size, not to the values'; the point itself is computed here as an unevaluated
sum of two float64 numbers. Products are made exact as Ozaki et al. 2012 do: weights and values are cut into slices of
so few bits that a product of two slices sums without any rounding, in any order; what the slices leave is multiplied as
it is, and its error is bounded. That bound grows from layer to layer as any interval does, but from 1e-25 on.
"""

import math
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, LEAST, UPWARD, gamma, magnitude, step_error
from surefoot.graph.graph import Graph, Node
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Elementwise,
    ElementwiseAffine,
    Gather,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
    Softmax,
)

SLICES = 2  # of weights and of values: what they leave is 2^-40 of the largest
MANTISSA = 53
EXPONENTS = 400  # of what is cut into slices: beyond, a slice of a product might be no float64


@dataclass(frozen=True, eq=False)
class Reference:
    """By node, values + lows, of shape (1, *shape), and how far the exact values may be from their sum.

    The values are the sums as float64 has them; a low is at most half a unit in the last place of its value.
    """

    values: list[Float[Tensor, "1 ..."]]
    lows: list[Float[Tensor, "1 ..."]]
    errors: list[Float[Tensor, "1 ..."]]

    def to(self, dtype: torch.dtype) -> "Reference":
        """Return it in another type, to guide a search."""
        return Reference(*([x.to(dtype) for x in part] for part in (self.values, self.lows, self.errors)))

    def error(self, at: int) -> Float[Tensor, "1 ..."]:
        """Return how far a node's exact values may be from `values` alone."""
        return UPWARD * (self.lows[at].abs() + self.errors[at])


@dataclass(frozen=True, eq=False)
class _Sum:
    """Values: high + low, within error."""

    high: Tensor
    low: Tensor
    error: Tensor


def has_reference(graph: Graph) -> bool:
    """Whether a graph is of operations that are computed here: all but products of branches, functions and softmax."""
    return not any(isinstance(node.op, Mul | Elementwise | Softmax) for node in graph.nodes)


def reference_at(graph: Graph, point: Float[Tensor, "1 ..."]) -> Reference:
    """Compute every node's values at a point.

    Property: sound. The graph's constants are taken as exact.

    Raises:
        InputError: a product of branches, a function, or a softmax.
    """
    last = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    zeros = torch.zeros_like(point)
    sums = {0: _Sum(point, zeros, zeros)}
    reference = Reference([point], [zeros], [zeros])
    for at, node in enumerate(graph.nodes[1:], 1):
        sums[at] = _rule(node, [sums[i] for i in node.inputs])
        reference.values.append(sums[at].high)
        reference.lows.append(sums[at].low)
        reference.errors.append(sums[at].error)
        for i in {i for i in node.inputs if last[i] == at}:
            del sums[i]
    return reference


def _rule(node: Node, given: list[_Sum]) -> _Sum:
    tick()
    op = node.op
    match op:
        case Gather() | Reshape():
            (x,) = given
            return _Sum(op(x.high), op(x.low), op(x.error))
        case Linear() | Conv2d() | ElementwiseAffine():
            return _affine(op, given[0], node.shape)
        case Relu():
            (x,) = (
                given  # max(., 0) never enlarges a difference; the sign of a sum that is rounded well is that of high
            )
            off = x.high <= 0
            silent = x.high + x.low.abs() + x.error <= 0
            high, low = (t.masked_fill(off, 0.0) for t in (x.high, x.low))
            return _Sum(high, low, x.error.masked_fill(silent, 0.0))
        case MaxPool2d():
            return _pool(op, given[0])
        case Add():
            x, y = given
            high, low = _two_sum(x.high, y.high)
            low = low + x.low + y.low
            spare = step_error(3, low.abs() + x.low.abs() + y.low.abs())
            return _normal(_Sum(high, low, x.error + y.error + spare))
        case Concat():
            parts = ([getattr(x, part) for x in given] for part in ("high", "low", "error"))
            return _Sum(*(torch.cat(part, op.axis + 1) for part in parts))
        case Mul() | Elementwise() | Softmax() | Input():
            raise InputError(f"node {node.name!r}: {type(op).__name__} is not computed around a point")
        case _:
            assert_never(op)


def _affine(op: Linear | Conv2d | ElementwiseAffine, x: _Sum, shape: tuple[int, ...]) -> _Sum:
    bits = (MANTISSA - math.ceil(math.log2(op.terms + 1))) // 2
    name = "scale" if isinstance(op, ElementwiseAffine) else "weight"
    weight: Tensor = getattr(op, name)
    weights, weight_rest = _slices(weight, bits)
    values, value_rest = _slices(x.high, bits)

    def times(w: Tensor) -> Affine:
        return replace(op, bias=None, **{name: w})

    products = [times(w).linear(v) for w in weights for v in values]
    rest = value_rest + x.low
    relative = gamma(op.terms, DOUBLE)
    low = times(weight).linear(rest)
    wrong = x.error + (relative + 2 * DOUBLE) * (magnitude(rest) + magnitude(x.low))
    error = op.absolute(magnitude(wrong))
    if bool(weight_rest.any()):
        low = low + times(weight_rest).linear(x.high - value_rest)
        error = error + 2 * relative * times(weight_rest).absolute(magnitude(x.high))
    bias = op.broadcast_bias()
    if bias is not None:
        products.append(torch.broadcast_to(bias, (1, *shape)))
    high, size = torch.zeros_like(low), low.abs()
    for product in products:
        tick()
        high, lost = _two_sum(high, product)
        low = low + lost
        size = size + lost.abs()
    error = error + step_error(len(products) + 2, size)
    return _normal(_Sum(high, low, UPWARD * error + torch.where(error > 0, LEAST, 0.0)))


def _slices(x: Tensor, bits: int) -> tuple[list[Tensor], Tensor]:
    """Cut numbers into multiples of 2^(e - bits k), |x| <= 2^e, each at most 2^bits of them; return what is left too.

    Property: exact: slices and rest sum to x. x + c rounds to a multiple of c's last bit, and x less that is a float64.
    """
    slices: list[Tensor] = []
    _, exponent = math.frexp(float(x.abs().max())) if x.numel() else (0.0, 0)
    if abs(exponent) > EXPONENTS or not bool(torch.isfinite(x).all()):
        return slices, x
    for k in range(1, SLICES + 1):
        carrier = 1.5 * 2.0 ** (MANTISSA - 1 + exponent - bits * k)
        part = (x + carrier) - carrier
        slices.append(part)
        x = x - part
    return slices, x


def _two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return a + b as rounded, and what that lost, exactly (Knuth; Higham 2002, 4.3)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _normal(x: _Sum) -> _Sum:
    """Let high be the sum as rounded, so that it has the sum's sign."""
    return _Sum(*_two_sum(x.high, x.low), x.error)


def _pool(op: MaxPool2d, x: _Sum) -> _Sum:
    """Take the largest by high, then by low."""
    windows = op.windows(tuple(x.high.shape[1:]))
    place, padding = windows.clamp(min=0), windows < 0
    high = x.high.flatten()[place].masked_fill(padding, -torch.inf)
    low = x.low.flatten()[place]
    top = high.max(1, keepdim=True).values
    best = low.masked_fill(high < top, -torch.inf).argmax(1, keepdim=True)
    error = x.error.flatten()[place].masked_fill(padding, 0.0).max(1).values
    return _Sum(
        *(t.reshape(1, *op.shape(tuple(x.high.shape[1:]))) for t in (high.gather(1, best), low.gather(1, best), error))
    )
