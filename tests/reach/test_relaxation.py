"""A relaxation: bounds known before are met, every node's box holds, and another type keeps what is there."""

import pytest
import torch

from networks import random_network, samples
from surefoot.core.rounding import REAL
from surefoot.graph.graph import GraphBuilder, apply, fold
from surefoot.graph.ops import Linear, Relu
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Choice, relax


def test_bounds_known_before_are_met() -> None:
    builder = GraphBuilder((2,))
    builder.add(Relu(), builder.add(Linear(torch.eye(2).double()), 0))
    square = Box(-torch.ones(1, 2).double(), torch.ones(1, 2).double())
    known = {1: Box(torch.tensor([[0.5, -9.0]]).double(), torch.tensor([[9.0, -0.5]]).double())}
    box = relax(builder.build(), square, REAL, known=known).boxes[1]
    torch.testing.assert_close(box.lower, torch.tensor([[0.5, -1.0]]).double())
    torch.testing.assert_close(box.upper, torch.tensor([[1.0, -0.5]]).double())


@pytest.mark.parametrize("seed", range(4))
def test_every_box_holds_and_says_what_is_unstable(seed: int) -> None:
    graph = random_network(seed)
    region = Box(*(s * 0.3 * torch.ones(1, *graph.input_shape).double() for s in (-1, 1)))
    flat = region.upper.flatten().numpy()
    values = fold(graph, samples(-flat, flat, graph, 300, seed), lambda node, given: apply(node.op, given))
    relaxation = relax(graph, region, REAL)
    for value, box in zip(values, relaxation.boxes, strict=True):
        spare = 1e-12 * (1 + box.magnitude)
        assert bool(((value >= box.lower - spare) & (value <= box.upper + spare)).all())
    for at in relaxation.relus():
        entering = values[graph.nodes[at].inputs[0]]
        both = (entering > 0).any(0) & (entering < 0).any(0)
        assert bool((relaxation.unstable(at)[0] | ~both).all())


def test_another_type_moves_every_part() -> None:
    graph = random_network(0)
    region = Box(*(s * 0.3 * torch.ones(1, *graph.input_shape).double() for s in (-1, 1)))
    single = relax(graph, region, REAL).to(torch.float32)
    assert {box.lower.dtype for box in single.boxes} == {torch.float32}
    assert single.unit > relax(graph, region, REAL).unit
    choice = Choice({1: torch.ones(1).double()}, {2: torch.ones(1).double()}).to(torch.float32)
    assert {x.dtype for part in choice.parts for x in part.values()} == {torch.float32}
