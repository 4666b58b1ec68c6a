"""Equality: what differs is met and bounded, and what is no number shows nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from planted import box, dense
from surefoot.compress.equal import equal, flat_boxes
from surefoot.compress.stability import stability
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.ops import Linear
from surefoot.proof.affine_forms import affine_forms_of, difference


def test_a_changed_weight_is_seen_and_bounded() -> None:
    graph = dense(3, ("inactive",), (10, 8))
    nodes = list(graph.nodes)
    weight = nodes[1].op.weight.clone()  # pyright: ignore[reportAttributeAccessIssue]
    weight[5, 2] += 1e-3
    nodes[1] = replace(nodes[1], op=Linear(weight, nodes[1].op.bias))  # pyright: ignore[reportAttributeAccessIssue]
    changed = Graph(tuple(nodes))
    found = equal(graph, changed, box(graph))
    assert 0 < found.met <= found.largest < 20 * found.met
    x = torch.from_numpy(found.input).unsqueeze(0)
    assert float((evaluate(graph, x) - evaluate(changed, x)).abs().max()) == pytest.approx(found.met)


def test_boxes_that_are_not_numbers_show_nothing() -> None:
    graph = dense(0)
    boxes = flat_boxes(stability(graph, box(graph)))
    forms = affine_forms_of(graph, boxes)
    boxes[1] = (boxes[1][0] * np.nan, boxes[1][1] * np.nan)
    assert not np.isfinite(difference(forms, affine_forms_of(graph, boxes))).any()
