"""Cut the softmax off: it keeps the order of logits, and proofs are about logits."""

from surefoot.graph.graph import Graph
from surefoot.graph.ops import Softmax


def logits_of(graph: Graph) -> Graph:
    """Return the graph without a softmax at its end."""
    return Graph(graph.nodes[:-1]) if isinstance(graph.nodes[-1].op, Softmax) else graph
