"""The search for a verdict: what it sees of a network and a query, and stages one after another."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from queries import asked, folded
from surefoot.core.deadline import TimeIsUp
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Conv2d, Linear, Mul, Relu, Reshape
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, robustness
from surefoot.verify.catalog import METHODS
from surefoot.verify.network import Network
from surefoot.verify.progress import say
from surefoot.verify.search import Search
from surefoot.verify.stages import exact


@pytest.mark.parametrize("channels", [1, 8])
def test_a_wide_network_is_not_divided_however_few_inputs_are_free(channels: int) -> None:
    """Bounding all its values for every half takes minutes, past any limit of time; ReLU splitting does not."""
    builder, generator = GraphBuilder((1, 16, 16)), torch.Generator().manual_seed(0)
    weight = torch.randn(channels, 1, 3, 3, generator=generator, dtype=torch.float64)
    last = builder.add(Relu(), builder.add(Conv2d(weight, None, (1, 1), (1, 1, 1, 1)), 0))
    flat = builder.add(Reshape((channels * 256,)), last)
    weight = torch.randn(2, channels * 256, generator=generator, dtype=torch.float64)
    network = Network.of(builder.build(builder.add(Linear(weight), flat)))
    query = Query(InputSet(np.zeros(256), 1.0 * (np.arange(256) < 10)), (Unsafe(np.eye(2), np.zeros(2)),))
    stages = METHODS["auto"].stages(Search(network, query, 5.0))
    assert (exact in stages) == (channels == 8)


def test_it_sees_what_a_network_is_made_of() -> None:
    """A polynomial, a product beside ReLUs, and inputs of which one cannot move."""
    builder = GraphBuilder((3,))
    square = builder.add(Mul(), 0, 0)
    polynomial = Network.of(builder.build())
    builder.add(Relu(), square)
    mixed = Network.of(builder.build())
    query = Query(InputSet(np.zeros(3), np.array([1.0, 0.0, 1.0])), (Unsafe(np.ones((1, 3)), np.zeros(1)),))
    assert [Search(n, query, 1.0).is_polynomial for n in (polynomial, mixed)] == [True, False]
    assert not Search(mixed, query, 1.0).is_piecewise_linear
    assert Search(Network.of(folded(0)), asked(folded(0), 0), 1.0).is_piecewise_linear
    assert Search(polynomial, query, 1.0).free_inputs == 2
    assert not Search(polynomial, query, 1.0).is_trivial
    any_input = replace(query, unsafe=(*query.unsafe, Unsafe(np.zeros((0, 3)), np.zeros(0))))
    assert Search(polynomial, any_input, 1.0).is_trivial


@pytest.mark.parametrize("seed", range(4))
def test_conjunctions_as_relus_ask_the_same(seed: int) -> None:
    """The question with slack as outputs has the slack of the one that was asked; in proofs it stays as it was."""
    graph = random_network(seed)
    query = asked(graph, seed)
    network = Network.of(graph)
    written, same = Search(network, query, 1.0).with_slack_relus()
    x = samples(query.inputs.lower, query.inputs.upper, graph, 100, seed)
    y, slack = evaluate(network.graph, x).numpy(), evaluate(written, x).numpy()
    assert np.allclose(slack, np.stack([unsafe.slack(y) for unsafe in query.unsafe], 1), atol=1e-9)
    assert np.allclose(same.slack(slack), query.slack(y), atol=1e-9)
    assert Search(network, query, 1.0, prove=True).with_slack_relus() == (network.graph, query)


def test_stages_answer_in_turn_and_what_none_answers_is_unknown() -> None:
    network = Network.of(folded(0))
    query = replace(asked(folded(0), 0, rows=1), inputs=InputSet(-np.ones(3), np.ones(3)))
    met: list[str] = []

    def silent(search: Search) -> None:
        met.append("silent")
        search.best = -3.5

    def sure(search: Search) -> Holds:
        met.append("sure")
        return Holds(1.0, "sure", False, search.details())

    verdict = Search(network, query, 10.0).answer("mine", [silent, sure, silent])
    assert isinstance(verdict, Holds)
    assert met == ["silent", "sure"]
    verdict = Search(network, query, 10.0).answer("mine", [silent])
    assert isinstance(verdict, Unknown)
    assert verdict.why == "the bounds of mine are not tight enough"
    assert verdict.margin == -3.5
    late = Search(network, query, 0.0).answer("mine", [silent, sure])
    assert isinstance(late, Unknown)
    assert late.why == "time is up"


def test_a_candidate_counts_only_if_it_is_replayed() -> None:
    """Y = x on [0, 1], unsafe up to 1/2: what is above it is no counterexample, whoever suggests it."""
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.ones(1, 1).double()), 0)
    query = Query(InputSet(np.zeros(1), np.ones(1)), (Unsafe(np.ones((1, 1)), np.array([0.5])),))
    search = Search(Network.of(builder.build()), query, 10.0)
    assert search.candidate(torch.tensor([[0.75]]).double(), near=False) is None
    assert search.counterexample is None
    assert search.candidate(torch.tensor([[0.75], [0.25]]).double()) is not None
    verdict = search.violated("mine")
    assert (verdict.input.tolist(), verdict.output.tolist()) == ([0.25], [0.25])


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_stage_that_is_too_large_is_named_and_the_next_one_tried(error: Exception) -> None:
    def greedy(_: Search) -> None:
        raise error

    network = Network.of(folded(0))
    query = replace(asked(folded(0), 0, rows=1), inputs=InputSet(-np.ones(3), np.ones(3)))
    sure = Search(network, query, 10.0).answer("mine", [greedy, lambda s: Holds(1.0, "sure", False, s.details())])
    assert isinstance(sure, Holds)
    unknown = Search(network, query, 10.0).answer("mine", [greedy])
    assert isinstance(unknown, Unknown)
    assert "too large for the memory that may be used: greedy" in unknown.why


def test_what_branch_and_bound_reached_is_the_margin_when_time_is_up() -> None:
    graph = random_network(3)
    lower, upper = random_box(graph, 3)
    network = Network.of(graph, lambda x: evaluate(graph, torch.from_numpy(x).double()).numpy())
    search = Search(network, robustness(InputSet(lower, upper), 0, 3), 5.0)

    def stage(_: Search) -> None:
        say(lambda: -0.25, 10, 3)
        raise TimeIsUp

    with pytest.raises(TimeIsUp):
        search._by_stages("auto", [stage])
    assert search.unknown("auto").margin == -0.25
