"""1 + x - c - c - ..., each c less than half a unit in the last place of what is summed up so far."""

from fractions import Fraction

import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import ElementwiseAffine


def long_sum(steps: int, c: float = 5e-17) -> tuple[Graph, Fraction]:
    """Make it, one operation a step; return its value at 0 too, which is its least for x >= 0."""
    one = torch.ones(1, dtype=torch.float64)
    builder, last = GraphBuilder((1,)), 0
    for _ in range(steps):
        last = builder.add(ElementwiseAffine(one, -c * one), last)
    builder.add(ElementwiseAffine(one, one), last)
    return builder.build(), 1 - steps * Fraction(c)
