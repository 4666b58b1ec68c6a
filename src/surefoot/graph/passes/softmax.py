"""What proofs are about: flat logits. What follows them is said by `link_of`; what a question then means, elsewhere."""

import math
from typing import Literal, TypeAlias

from surefoot.graph.graph import Graph, Node
from surefoot.graph.ops import Reshape, Softmax

Link: TypeAlias = Literal["identity", "softmax", "log-softmax"]
OUTPUT: dict[Link, str] = {"identity": "logit", "softmax": "probability", "log-softmax": "log-probability"}
OUTPUTS: dict[Link, str] = {"identity": "logits", "softmax": "probabilities", "log-softmax": "log-probabilities"}


def link_of(graph: Graph) -> Link:
    """Say what takes the logits to the outputs."""
    last = graph.nodes[-1].op
    if not isinstance(last, Softmax):
        return "identity"
    return "log-softmax" if last.log else "softmax"


def logits_of(graph: Graph) -> Graph:
    """Return the graph without a softmax at its end: another function, where `link_of` is not the identity."""
    return Graph(graph.nodes[:-1]) if isinstance(graph.nodes[-1].op, Softmax) else graph


def flat_output(graph: Graph) -> Graph:
    """Return the graph with its output as a vector (k,)."""
    if len(graph.output_shape) == 1:
        return graph
    flat = (math.prod(graph.output_shape),)
    return Graph((*graph.nodes, Node("flat_output", Reshape(flat), (len(graph.nodes) - 1,), flat)))
