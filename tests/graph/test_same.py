"""Graphs are the same operations whatever their nodes are called, and not where one number differs."""

import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import ElementwiseAffine, Linear, Relu
from surefoot.graph.same import same_operations


def graph(weight: float, name: str = "", rounded: str = "") -> Graph:
    builder = GraphBuilder((2,))
    builder.add(Linear(torch.tensor([[1.0, weight]])), 0, name=name)
    builder.add(Relu(), 1)
    builder.add(ElementwiseAffine(torch.tensor([2.0]), None, rounded), 2)
    return builder.build()


def test_names_do_not_matter_and_numbers_do() -> None:
    assert same_operations(graph(1.0), graph(1.0, "other"))
    assert not same_operations(graph(1.0), graph(1.5))
    assert not same_operations(graph(1.0), graph(1.0, rounded="1 / c"))


def test_what_one_of_them_was_asked_before_does_not_matter() -> None:
    """An operation keeps the magnitude of its weights, once it was asked for."""
    asked = graph(1.0)
    asked.nodes[1].op.absolute(torch.ones(1, 2))  # pyright: ignore[reportAttributeAccessIssue]
    assert vars(asked.nodes[1].op).keys() != vars(graph(1.0).nodes[1].op).keys()
    assert same_operations(asked, graph(1.0))
    assert same_operations(graph(1.0), asked)
