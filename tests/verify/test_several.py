"""Properties of several boxes: together first, within one limit."""

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from surefoot.core.deadline import Clock, Deadline
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated
from surefoot.verify.network import Network
from surefoot.verify.progress import Progress
from surefoot.verify.several import Answers, _Stack, _stacks, answer_all


def absolute() -> Graph:
    """Make |x - 0.5| - 0.2."""
    builder = GraphBuilder((1,))
    first = Linear(torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([-0.5, 0.5]).double())
    hidden = builder.add(Relu(), builder.add(first, 0))
    builder.add(Linear(torch.ones(1, 2).double(), torch.tensor([-0.2]).double()), hidden)
    return builder.build()


def strips(count: int, bounds: np.ndarray) -> list[Query]:
    """Ask of strips of [0, 1], each with a bound of its own, whether the output is at most that."""
    ends = np.linspace(0, 1, count + 1)
    return [
        Query(InputSet(np.array([low]), np.array([high])), (Unsafe(np.ones((1, 1)), np.array([bound])),))
        for low, high, bound in zip(ends, ends[1:], bounds, strict=False)
    ]


def test_many_boxes_are_proven_together_each_with_its_own_bound() -> None:
    network = Network.of(absolute())
    bounds = np.linspace(-0.21, -0.25, 1000)
    verdict, proofs = answer_all(network, strips(1000, bounds), 60.0, "auto", 0)
    assert isinstance(verdict, Holds)
    assert verdict.float32
    assert verdict.details["boxes"] == 1000
    ends, truth = np.linspace(0, 1, 1001), []
    for low, high, bound in zip(ends, ends[1:], bounds, strict=False):
        truth.append((0.0 if low <= 0.5 <= high else min(abs(low - 0.5), abs(high - 0.5))) - 0.2 - bound)
    assert 0 < verdict.margin <= min(truth) + 1e-12
    assert not proofs


def test_one_box_that_is_broken_among_many() -> None:
    bounds = np.full(300, -0.21)
    bounds[150] = 0.0  # the strip from 0.5 on
    verdict, _ = answer_all(Network.of(absolute()), strips(300, bounds), 60.0, "auto", 0)
    assert isinstance(verdict, Violated)
    assert 0.5 <= verdict.input[0] <= 151 / 300 + 1e-6


def test_proofs_of_boxes_together_pass_the_check() -> None:
    graph = absolute()
    queries = strips(20, np.full(20, -0.21))
    verdict, proofs = answer_all(Network.of(graph), queries, 60.0, "auto", 0, prove=True)
    assert isinstance(verdict, Holds)
    assert len(proofs) == 20
    asked = [Question(q.inputs.lower, q.inputs.upper, [(u.weights, u.bounds) for u in q.unsafe]) for q in queries]
    margin = check_property(certificate_of_property(graph, proofs), graph, asked)
    assert 0 < margin <= verdict.margin + 1e-9


def test_when_time_is_up_it_is_said_how_many_boxes_are_proven() -> None:
    readings = 0

    def wall() -> float:
        nonlocal readings
        readings += 1
        return 0.0 if readings < 60 else 100.0

    deadline = Deadline.of(1.0, Clock(wall, lambda: 0.0))
    verdict, _ = answer_all(Network.of(absolute()), strips(5000, np.full(5000, -0.21)), deadline, "auto", 0)
    assert isinstance(verdict, Unknown)
    proven = int(verdict.details["proven"])
    assert 0 < proven < 5000
    assert f"time is up: {proven:,} of 5,000 boxes proven" in verdict.why


def test_seconds_are_of_all_boxes_and_the_margin_is_the_worst() -> None:
    hands = [0.0]
    deadline = Deadline.of(100.0, Clock(lambda: hands[0], lambda: 0.0))
    answers = Answers(strips(3, np.zeros(3)), deadline, 0.0)
    for i, margin in enumerate((0.3, 0.1, 0.2)):
        hands[0] += 2.0
        answers.proven[i] = Holds(margin, "input-splitting", i != 2, {"seconds": 2.0})
    verdict, _ = answers.verdict("")
    assert isinstance(verdict, Holds)
    assert (verdict.margin, verdict.details["seconds"], verdict.float32) == (0.1, 6.0, False)


@pytest.mark.parametrize("seed", range(12))
def test_margins_of_a_stack_are_below_what_samples_show(seed: int) -> None:
    graph, rng = random_network(seed), np.random.default_rng(seed)
    queries = []
    for i in range(int(rng.integers(5, 9))):
        sizes = (1, 2) if rng.random() < 0.5 else (2,)
        unsafe = tuple(Unsafe(rng.normal(size=(r, 3)), rng.normal(size=r)) for r in sizes)
        queries.append(Query(InputSet(*random_box(graph, seed + i)), unsafe))
    stacks = list(_stacks(Network.of(graph), queries))
    assert sorted(i for stack in stacks for i in stack.which) == list(range(len(queries)))
    for stack in stacks:
        for prove in (False, True):
            _below_samples(graph, queries, stack, prove)


def _below_samples(graph: Graph, queries: list[Query], stack: _Stack, prove: bool) -> None:
    from surefoot.core.rounding import REAL  # noqa: PLC0415

    for i, margin in zip(stack.which, stack.margins(Network.of(graph).graph, REAL, prove).tolist(), strict=True):
        x = samples(queries[i].inputs.lower, queries[i].inputs.upper, graph, 100, i)
        assert margin <= queries[i].slack(evaluate(graph, x).flatten(1).numpy()).min() + 1e-9


def test_a_question_of_another_network_is_refused() -> None:
    query = Query(InputSet(np.zeros(1), np.ones(1)), (Unsafe(np.eye(2), np.zeros(2)),))
    with pytest.raises(InputError, match="outputs"):
        answer_all(Network.of(absolute()), [query], 1.0, "auto", 0)


def test_a_margin_that_was_heard_of_is_kept_and_infinity_is_none() -> None:
    answers = Answers(strips(2, np.zeros(2)), Deadline.of(10.0), 0.0)
    for bound in (-3.0, -1.0, -2.0, np.inf):
        answers.hear(0, Progress("relu-splitting", bound))
    answers.bounded(1, -0.5)
    assert answers.margins == {0: -1.0, 1: -0.5}
    verdict, _ = answers.verdict("time is up")
    assert isinstance(verdict, Unknown)
    assert verdict.margin == -1.0
