"""Bounds for networks of millions of values, such as VGG16: one zonotope, then CROWN with the boxes that it gave.

What is cheap elsewhere is dear here: one pass takes seconds, a row of coefficients 30 MB. So intermediate bounds are
not tightened one by one; all are taken around the middle of the region, where rounding is relative to its size.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from surefoot.core.memory import within_memory
from surefoot.core.rounding import REAL, Arithmetic
from surefoot.graph.graph import Graph
from surefoot.reach.around import around_region
from surefoot.reach.crown import LARGEST_ROWS, Trace, lower_bounds
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.reference import Reference, has_reference, reference_at
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.star_state import State, begin
from surefoot.reach.stars import approximate
from surefoot.spec.input_set import InputSet
from surefoot.verify.stars import star_of_inputs

LARGE = 2**22  # values of all nodes
MANY_INPUTS = 5000  # free ones, from which on a zonotope is not tried


def is_large(graph: Graph) -> bool:
    """Whether a network has so many values that it is bounded as here; products of branches are not."""
    return sum(size_of(node) for node in graph.nodes) > LARGE and has_reference(graph)


def reference_of(graph: Graph, inputs: InputSet) -> Reference:
    """Compute the values at the middle of the inputs."""
    return reference_at(graph, star_of_inputs(inputs, graph.input_shape).form.centre.unsqueeze(0))


def zonotope_around(
    graph: Graph,
    inputs: InputSet,
    reference: Reference | None,
    arithmetic: Arithmetic = REAL,
    boxes: dict[int, Box] | None = None,
) -> State:
    """Propagate one zonotope to the output, around a point where one is given (in real arithmetic alone).

    `boxes` is given those of what enters ReLUs, layer after layer: they stay known where time or memory ends before.

    Property: sound.
    """
    star = star_of_inputs(inputs, graph.input_shape)
    keep = None if boxes is None else lambda state: boxes.update(state.seen)
    return approximate(graph, begin(star, reference), "zonotope", use_lps=False, arithmetic=arithmetic, reached=keep)


def relax_around(graph: Graph, region: Box, reference: Reference, known: Mapping[int, Box]) -> Relaxation:
    """Relax a network around a point, with the boxes that are known, and intervals for the others."""
    return relax(graph, region, REAL, None, known, around=around_region(reference, region))


def relax_large(graph: Graph, inputs: InputSet) -> Relaxation:
    """Relax a large network as tightly as its free inputs and the memory allow."""
    reference = reference_of(graph, inputs)
    boxes: dict[int, Box] = {}
    if int((inputs.upper > inputs.lower).sum()) <= MANY_INPUTS:
        within_memory(lambda: zonotope_around(graph, inputs, reference, boxes=boxes))
    return relax_around(graph, Box.around(inputs, graph.input_shape), reference, boxes)


def lower_bounds_in_lots(relaxation: Relaxation, rows: Tensor, trace: Trace | None = None) -> Tensor:
    """Bound rows (1, s, *out) of the outputs from below, (1, s), so many at a time as are quick to interrupt."""
    graph = relaxation.graph
    lots = rows.split(max(LARGEST_ROWS // max(size_of(node) for node in graph.nodes), 1), 1)
    return torch.cat([lower_bounds(relaxation, len(graph.nodes) - 1, lot, trace=trace) for lot in lots], 1)
