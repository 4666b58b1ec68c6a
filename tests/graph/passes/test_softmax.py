"""A softmax at the end: what it is called, the logits under it, outputs as vectors."""

import pytest
import torch

from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Softmax
from surefoot.graph.passes.softmax import flat_output, link_of, logits_of


@pytest.mark.parametrize(
    ("end", "link"), [(None, "identity"), (Softmax(), "softmax"), (Softmax(log=True), "log-softmax")]
)
def test_logits_and_their_link_are_the_network(end: Softmax | None, link: str) -> None:
    builder = GraphBuilder((2,))
    builder.add(Linear(torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]).double()), 0)
    if end is not None:
        builder.add(end, 1)
    graph = builder.build()
    x = torch.tensor([[0.3, -0.7], [1.0, 2.0]]).double()
    follows = {"identity": lambda y: y, "softmax": lambda y: y.softmax(1), "log-softmax": lambda y: y.log_softmax(1)}
    assert link_of(graph) == link
    assert link_of(logits_of(graph)) == "identity"
    assert torch.equal(follows[link](evaluate(logits_of(graph), x)), evaluate(graph, x))


def test_outputs_are_vectors() -> None:
    image = GraphBuilder((2, 3)).build()
    x = torch.arange(12.0).reshape(2, 2, 3)
    assert flat_output(image).output_shape == (6,)
    assert torch.equal(evaluate(flat_output(image), x), x.reshape(2, 6))
    vector = GraphBuilder((3,)).build()
    assert flat_output(vector) is vector
