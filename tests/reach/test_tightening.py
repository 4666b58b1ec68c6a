"""Tightening: boxes hold, get no wider, and what is worth it."""

import pytest
import torch

from networks import random_network, samples
from surefoot.core.rounding import REAL
from surefoot.graph.graph import GraphBuilder, apply, fold
from surefoot.graph.ops import Elementwise, Relu
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Tighten, relax
from surefoot.reach.tightening import tighten_all, tighten_by_crown, tighten_thoroughly, worth_tightening


@pytest.mark.parametrize("tighten", [tighten_by_crown, tighten_all, tighten_thoroughly])
@pytest.mark.parametrize("seed", range(4))
def test_tightened_boxes_hold_and_are_no_wider(seed: int, tighten: Tighten) -> None:
    graph = random_network(seed)
    d = graph.input_shape
    region = Box(-0.3 * torch.ones(1, *d).double(), 0.3 * torch.ones(1, *d).double())
    flat = region.lower.flatten().numpy()
    values = fold(graph, samples(flat, -flat, graph, 300, seed), lambda node, given: apply(node.op, given))
    plain, tight = (relax(graph, region, REAL, t, multi_neuron=False) for t in (None, tighten))
    for value, wide, box in zip(values, plain.boxes, tight.boxes, strict=True):
        spare = 1e-12 * (1 + box.magnitude)
        assert bool(((value >= box.lower - spare) & (value <= box.upper + spare)).all())
        assert bool(((box.lower >= wide.lower - spare) & (box.upper <= wide.upper + spare)).all())


def test_only_what_bends_is_worth_tightening() -> None:
    low = torch.tensor([[-1.0, 0.0, -2.0, -1e-5, -1e-12], [1.0, 1.0, -2.0, -1e-5, -1e-12]]).double()
    high = torch.tensor([[1.0, 1.0, -1.0, 1e-5, 1e-12], [2.0, 2.0, 3.0, 2e-5, 1e-12]]).double()
    for op, worth in ((Relu(), [0, 2]), (Elementwise("Tanh"), [0, 1, 2])):  # a function bends what has a sign, too
        builder = GraphBuilder((5,))
        builder.add(op, 0)
        relaxation = relax(builder.build(), Box(low, high), REAL)
        assert worth_tightening(relaxation, 0, Box(low, high)).tolist() == worth  # the last are narrow, or about 0
