"""Append a property to a network: by how much each unsafe set is missed becomes an output."""

from collections.abc import Sequence

import torch
from torch import Tensor

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear, MaxPool2d, Reshape


def with_slack(graph: Graph, sets: Sequence[tuple[Tensor, Tensor]]) -> Graph:
    """Return the graph of max_r (weights_r · y - bounds_r) for each of the sets (weights (r, k), bounds (r,)).

    An input is unsafe where one of the outputs is <= 0. The maximum is a pool: whatever bounds pools bounds
    conjunctions, jointly in their rows.
    """
    builder = GraphBuilder.of(graph)
    most = max(len(bounds) for _, bounds in sets)
    places = [[min(i, len(bounds) - 1) for i in range(most)] for _, bounds in sets]  # the last row repeats
    weights = torch.cat([w[which] for (w, _), which in zip(sets, places, strict=True)])
    bounds = torch.cat([b[which] for (_, b), which in zip(sets, places, strict=True)])
    last = builder.add(Linear(weights, -bounds), len(builder.nodes) - 1)
    if most > 1:
        last = builder.add(Reshape((len(sets), 1, most)), last)
        last = builder.add(MaxPool2d((1, most), (1, most)), last)
        last = builder.add(Reshape((len(sets),)), last)
    return builder.build(last)
