"""Bounds around a point: boxes of deviations from a network's values at one input of the region.

With values c at the point, an affine operation W x + b maps deviations by W alone, ReLU and max pooling by
relu(c + d) - relu(c) and max(c + d) - max(c). Where the sign is certain that is d or 0, whatever c is: no rounding of
the values enters, and every allowance is relative to the deviations (`reach.reference` computes c).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, gamma, magnitude, step_error
from surefoot.graph.graph import Node, apply
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Gather, Input, MaxPool2d, Mul, Relu, Reshape, Softmax
from surefoot.reach.ibp import Box, step
from surefoot.reach.reference import Reference


@dataclass(frozen=True, eq=False)
class Around:
    """A reference, and the boxes of deviations from it by node, as far as they are known."""

    reference: Reference
    deviations: list[Box] = field(default_factory=list)

    def to(self, dtype: torch.dtype) -> "Around":
        """Return it in another type, to guide a search."""
        boxes = [Box(box.lower.to(dtype), box.upper.to(dtype)) for box in self.deviations]
        return Around(self.reference.to(dtype), boxes)

    def value(self, at: int) -> Tensor:
        """Return a node's values at the point, (1, *shape)."""
        return self.reference.values[at]

    def error(self, at: int) -> Tensor:
        """Return how far the exact ones may be from them."""
        return self.reference.error(at)

    def box(self, at: int, deviation: Box) -> Box:
        """Return the box of a node's values."""
        value = self.value(at)
        spread = self.error(at) + step_error(3, magnitude(value) + deviation.magnitude)
        return Box(value + deviation.lower - spread, value + deviation.upper + spread)

    def deviation(self, at: int, box: Box) -> Box:
        """Return the box of a node's deviations."""
        value = self.value(at)
        spread = self.error(at) + step_error(3, magnitude(value) + box.magnitude)
        return Box(box.lower - value - spread, box.upper - value + spread)

    def decided(self, at: int, x: Box) -> Tensor:
        """Return where values x entering a ReLU have the sign that they have at the point: relu moves d, or nothing."""
        value, error = self.value(at), self.error(at)
        return torch.where(x.lower >= 0, value >= error, (x.upper <= 0) & (value <= -error))

    def meet(self, at: int, box: Box) -> None:
        """Take in what is known of a node's values."""
        deviation = self.deviation(at, box)
        self.deviations[at] = self.deviations[at].meet(deviation.lower, deviation.upper)

    def extend(
        self, at: int, node: Node, boxes: Sequence[Box], error: Tensor | None, known: Mapping[int, Box] | None
    ) -> Box:
        """Bound the next node's deviations, from what is known or else by a step; return the box of its values.

        What is known is not met with a step through a linear map, which would cost more than all else.
        """
        if known and at in known:
            self.deviations.append(self.deviation(at, known[at]))
            return self.box(at, self.deviations[at])
        self.deviations.append(self.step(node, boxes, error))
        box = self.box(at, self.deviations[at])
        if isinstance(node.op, Affine) and node.op.terms:
            return box
        plain = step(node, boxes, error)
        self.meet(at, plain)
        return box.meet(plain.lower, plain.upper)

    def step(self, node: Node, boxes: Sequence[Box], error: Tensor | None) -> Box:
        """Bound a node's deviations from those of its inputs and the `boxes` of their values; `error` as in `ibp.step`.

        Property: sound, if the point lies in the region.
        """
        op = node.op
        given = [self.deviations[i] for i in node.inputs]
        match op:
            case Gather() | Reshape():
                out = Box(op.linear(given[0].lower), op.linear(given[0].upper))
            case Affine():
                (x,) = given
                middle = op.linear((x.lower + x.upper) / 2)
                spread = op.absolute((x.upper - x.lower) / 2 + 2 * gamma(op.terms, DOUBLE) * x.magnitude)
                out = Box(middle - spread, middle + spread)
            case Relu():
                (x,) = given
                off = boxes[0].upper <= 0
                out = Box(x.lower.clamp(max=0).masked_fill(off, 0.0), x.upper.clamp(min=0).masked_fill(off, 0.0))
            case MaxPool2d():
                (x,) = given
                out = Box(-apply(op, [-x.lower]), apply(op, [x.upper]))
            case Add():
                x, y = given
                spread = step_error(2, x.magnitude + y.magnitude)
                out = Box(x.lower + y.lower - spread, x.upper + y.upper + spread)
            case Concat():
                out = Box(apply(op, [x.lower for x in given]), apply(op, [x.upper for x in given]))
            case Mul() | Elementwise() | Softmax() | Input():
                raise InputError(f"node {node.name!r}: {type(op).__name__} has no deviations here")
            case _:
                assert_never(op)
        return out if error is None else Box(out.lower - error, out.upper + error)


def around_region(reference: Reference, region: Box) -> Around:
    """Begin around a point of a region (one)."""
    around = Around(reference)
    around.deviations.append(around.deviation(0, region))
    return around
