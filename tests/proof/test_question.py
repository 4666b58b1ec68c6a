"""Canonical forms: what is the same has one name, what differs has another."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_network
from small_proofs import by_boxes, certified, distance
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Conv2d, ElementwiseAffine, Gather, Linear, MaxPool2d, Relu, Reshape, Softmax
from surefoot.proof.question import (
    Question,
    check_named,
    checked_graph,
    claims_of,
    network_digest,
    property_digest,
    region_digest,
)


def linear(weight: list[list[float]], offset: list[float] | None, name: str = "", *more: object) -> Graph:
    builder = GraphBuilder((len(weight[0]),))
    last = builder.add(Linear(torch.tensor(weight), None if offset is None else torch.tensor(offset)), 0, name=name)
    for op in more:
        last = builder.add(op, last)  # pyright: ignore[reportArgumentType]
    return builder.build()


def test_a_network_is_its_operations_and_constants() -> None:
    one = linear([[1.0, -0.0]], [0.5], "a")
    same = [linear([[1.0, 0.0]], [0.5], "b"), one.to(torch.float64)]
    assert {network_digest(graph) for graph in same} == {network_digest(one)}
    others = [
        linear([[1.0, 1e-45]], [0.5]),
        linear([[1.0, 0.0]], None),
        linear([[1.0, 0.0]], [0.0]),
        linear([[0.0, 1.0]], [0.5]),
        linear([[1.0], [0.0]], [0.5, 0.5]),
    ]
    more = (
        Relu(),
        Reshape((1, 1)),
        Gather(torch.tensor([0])),
        Gather(torch.tensor([-1])),
        ElementwiseAffine(torch.ones(1)),
    )
    others += [linear([[1.0, 0.0]], [0.5], "a", op) for op in more]
    assert len({network_digest(graph) for graph in [one, *others]}) == len(others) + 1


@pytest.mark.parametrize("seed", range(10))
def test_the_graph_that_is_checked_has_flat_logits_and_no_pools(seed: int) -> None:
    graph = random_network(seed)
    ended = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        ended.add(node.op, *node.inputs)
    ended.add(Softmax(), len(ended.nodes) - 1)
    checked = checked_graph(ended.build())
    assert network_digest(checked) == network_digest(checked_graph(graph))
    assert not any(isinstance(node.op, MaxPool2d | Softmax) for node in checked.nodes)
    assert len(checked.output_shape) == 1


def question(change: Callable[[Question], Question] = lambda q: q) -> list[Question]:
    rows = np.array([[1.0, 2.0], [3.0, -0.0]])
    one = Question(np.array([-0.0, 1.0]), np.array([1.0, 2.0]), [(rows, np.array([0.0, 5.0])), (rows[:1], np.zeros(1))])
    return [change(one), Question(np.zeros(2), np.ones(2), [(rows, np.array([0.0, 1.0]))])]


def names(questions: list[Question]) -> tuple[str, str]:
    claims = claims_of(questions)
    return property_digest(claims), region_digest(claims)


def test_order_repetition_and_minus_zero_do_not_matter() -> None:
    one = question()
    sets = one[0].unsafe
    turned = [(sets[0][0][::-1], sets[0][1][::-1]), sets[1], sets[1]]
    same = [
        one[::-1], [*one, one[0]], [replace(one[0], unsafe=turned), one[1]],
        [replace(one[0], lower=np.array([0.0, 1.0])), one[1]],
        [replace(one[0], unsafe=sets[:1]), one[1], replace(one[0], unsafe=sets[1:])],
    ]  # fmt: skip
    for other in same:
        assert claims_of(other) == claims_of(one)
        assert names(other) == names(one)


def test_what_differs_has_another_name() -> None:
    one, seen = question(), {names(question())}
    (w, b), second = one[0].unsafe
    others = [
        replace(one[0], unsafe=unsafe)
        for unsafe in (
            [second],
            [(w, b)],
            [(w, b[::-1]), second],
            [(w, np.nextafter(b, 9)), second],
            [(w[:0], b[:0])],
            [(np.concatenate([w, w[:1]]), np.array([0.0, 5.0, 1.0]))],
            [(w[:1], b[:1] + 1), (w[1:], b[1:]), second],
        )
    ]
    others.append(replace(one[0], upper=np.array([1.0, 3.0])))
    for other in others:
        assert claims_of([other, one[1]]) != claims_of(one)
        assert names([other, one[1]]) not in seen
        seen.add(names([other, one[1]]))
    assert names(one[:1]) not in seen


def test_it_is_said_which_of_network_region_and_property_differs() -> None:
    held, graph = certified(by_boxes(-0.1)), distance()
    check_named(held, [graph], held.property, held.region)
    with pytest.raises(InputError, match="another network"):
        check_named(held, [linear([[1.0]], None)], held.property, held.region)
    with pytest.raises(InputError, match="of 1 networks"):
        check_named(held, [graph, graph], held.property, held.region)
    with pytest.raises(InputError, match="another region"):
        check_named(held, [graph], held.property, "")
    with pytest.raises(InputError, match="another property"):
        check_named(held, [graph], "", held.region)
    check_named(replace(held, version=1), [graph], "", "")


def test_digests_are_those_of_version_0_1() -> None:
    """Operations have other names since; certificates of before name the network as they did."""
    builder = GraphBuilder((3,))
    moved = builder.add(Gather(torch.tensor([2, 0, 1])), 0)
    ones, zeros = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    graph = builder.build(builder.add(ElementwiseAffine(ones, zeros), moved))
    assert network_digest(graph) == "17db276eb4f376a0d22da9d68b3ba1f7df19fb86557729fc3de5b0b5acacd3e1"

    builder = GraphBuilder((1, 2, 2))
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    flat = builder.add(Reshape((4,)), builder.add(Conv2d(one.reshape(1, 1, 1, 1), zero), 0))
    graph = builder.build(builder.add(Linear(one.expand(1, 4), zero), flat))
    assert network_digest(graph) == "c6fddde8fb55111da97d338381df3ec8fe9181ca52c31dc61baf70d5d0ddd2f7"
