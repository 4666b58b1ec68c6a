"""What proofs are about: flat logits. A softmax keeps their order, and is cut off."""

import math

from surefoot.graph.graph import Graph, Node
from surefoot.graph.ops import Reshape, Softmax


def logits_of(graph: Graph) -> Graph:
    """Return the graph without a softmax at its end."""
    return Graph(graph.nodes[:-1]) if isinstance(graph.nodes[-1].op, Softmax) else graph


def flat_output(graph: Graph) -> Graph:
    """Return the graph with its output as a vector (k,)."""
    if len(graph.output_shape) == 1:
        return graph
    flat = (math.prod(graph.output_shape),)
    return Graph((*graph.nodes, Node("flat_output", Reshape(flat), (len(graph.nodes) - 1,), flat)))
