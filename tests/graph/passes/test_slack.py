"""Slack as outputs: the largest row of each unsafe set."""

import numpy as np
import pytest
import torch

from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import MaxPool2d, Relu
from surefoot.graph.passes.slack import with_slack


@pytest.mark.parametrize("rows", [(1,), (1, 1, 1), (3, 1), (2, 4, 1)])
def test_an_output_a_set_is_its_largest_row(rows: tuple[int, ...]) -> None:
    """max_r (w_r · y - b_r), for sets of different numbers of rows; sets of one row need no pool."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder((3,))
    builder.add(Relu(), 0)
    graph = builder.build()
    sets = [(torch.from_numpy(rng.normal(size=(r, 3))), torch.from_numpy(rng.normal(size=r))) for r in rows]
    x = torch.from_numpy(rng.normal(size=(20, 3)))
    y = evaluate(graph, x)
    want = torch.stack([(y @ weights.T - bounds).amax(1) for weights, bounds in sets], 1)
    found = with_slack(graph, sets)
    torch.testing.assert_close(evaluate(found, x), want)
    assert any(isinstance(node.op, MaxPool2d) for node in found.nodes) == (max(rows) > 1)
