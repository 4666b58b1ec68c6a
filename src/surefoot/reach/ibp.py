"""Boxes: a lower and an upper bound for every value, for several regions at once, rounded outward."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, Arithmetic, gamma, magnitude, step_error
from surefoot.graph.graph import Node, apply
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Gather, Input, MaxPool2d, Mul, Relu, Reshape, Softmax
from surefoot.reach.lines import interval
from surefoot.spec.input_set import InputSet


@dataclass(frozen=True, eq=False)
class Box:
    """lower <= x <= upper for each of b regions, of shape (b, *shape)."""

    lower: Float[Tensor, " b *shape"]
    upper: Float[Tensor, " b *shape"]

    @staticmethod
    def around(inputs: InputSet, shape: tuple[int, ...]) -> "Box":
        """Return the box of a set of inputs, (1, *shape), with what its linear constraints leave out.

        Raises:
            InputError: inputs of another size.
        """
        lower, upper = (torch.tensor(end).unsqueeze(0) for end in inputs.ends(shape))
        return Box(lower, upper)

    @cached_property
    def magnitude(self) -> Float[Tensor, " b *shape"]:
        """The largest |x|, as `rounding.magnitude` gives it."""
        return magnitude(torch.maximum(self.lower.abs(), self.upper.abs()))

    def meet(self, lower: Float[Tensor, " b *shape"], upper: Float[Tensor, " b *shape"]) -> "Box":
        """Return what is in both."""
        return Box(torch.maximum(self.lower, lower), torch.minimum(self.upper, upper))

    def of(self, regions: Tensor | slice) -> "Box":
        """Return some of the regions."""
        return Box(self.lower[regions], self.upper[regions])


def error_of(node: Node, inputs: Sequence[Box], arithmetic: Arithmetic) -> Float[Tensor, " b *shape"] | None:
    """Bound what the arithmetic adds to a node's exact result, infinite where it may overflow; None is 0."""
    match node.op:
        case Gather() | Reshape() | Relu() | MaxPool2d() | Concat() | Input() | Softmax():
            return None
        case Affine():
            relative, absolute = arithmetic.error(node.op.terms)
            size = magnitude_of(node.op, inputs[0])
        case Add():
            relative, absolute = arithmetic.error(1)
            size = inputs[0].magnitude + inputs[1].magnitude
        case Mul():
            relative, absolute = arithmetic.error(1)
            size = inputs[0].magnitude * inputs[1].magnitude
        case Elementwise():  # runtimes approximate it, each in its own way
            return torch.full_like(inputs[0].lower, math.inf) if arithmetic.unit else None
        case _:
            assert_never(node.op)
    if not relative:
        return None
    return torch.where(arithmetic.overflows(size, relative), math.inf, size * relative + absolute)


def magnitude_of(op: Affine, box: Box) -> Float[Tensor, " b *shape"]:
    """Return |W| |x| + |b|: what relative errors are relative to."""
    size, bias = op.absolute(box.magnitude), op.broadcast_bias()
    return size if bias is None else size + magnitude(bias)


def step(node: Node, inputs: Sequence[Box], error: Float[Tensor, " b *shape"] | None) -> Box:
    """Bound a node's values from its inputs', including the error that float32 execution adds.

    Property: sound. Exact up to rounding for one operation, if its inputs are independent.
    """
    op = node.op
    match op:
        case Gather() | Reshape():
            box = Box(op(inputs[0].lower), op(inputs[0].upper))
        case Affine():
            (x,) = inputs
            centre, radius = (x.lower + x.upper) / 2, (x.upper - x.lower) / 2
            unit = gamma(op.terms, DOUBLE)
            spread = op.absolute(radius + unit * x.magnitude)
            bias = op.broadcast_bias()
            if bias is not None:
                spread = spread + unit * magnitude(bias)
            middle = op(centre)
            box = Box(middle - spread, middle + spread)
        case Relu() | MaxPool2d():
            box = Box(apply(op, [inputs[0].lower]), apply(op, [inputs[0].upper]))
        case Elementwise():
            box = Box(*interval(op.function, inputs[0].lower, inputs[0].upper))
        case Add():
            x, y = inputs
            spread = step_error(2, x.magnitude + y.magnitude)
            box = Box(x.lower + y.lower - spread, x.upper + y.upper + spread)
        case Mul():
            box = _product(*inputs, square=node.inputs[0] == node.inputs[1])
        case Concat():
            box = Box(apply(op, [x.lower for x in inputs]), apply(op, [x.upper for x in inputs]))
        case Input() | Softmax():
            raise InputError(f"{type(op).__name__} has no bounds of its own")
        case _:
            assert_never(op)
    return box if error is None else Box(box.lower - error, box.upper + error)


def _product(x: Box, y: Box, square: bool) -> Box:
    corners = torch.stack([x.lower * y.lower, x.lower * y.upper, x.upper * y.lower, x.upper * y.upper])
    spread = step_error(2, x.magnitude * y.magnitude)
    low, high = corners.min(0).values - spread, corners.max(0).values + spread
    if square:
        low = torch.where((x.lower <= 0) & (x.upper >= 0), 0.0, low).clamp(min=0)
    return Box(low, high)


def size_of(node: Node) -> int:
    """Count a node's values."""
    return math.prod(node.shape)
