"""Halving boxes: rows of a conjunction taken together, inputs that are used up, samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_network, samples
from queries import asked, folded
from surefoot.core.deadline import Clock, Deadline
from surefoot.core.rounding import REAL
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.input_splitting import (
    OutputConstraints,
    SplittingOptions,
    _Progress,
    bound_sets,
    prove_by_input_splitting,
)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("effort", ["unstable", "all", "thorough"])
def test_sets_are_bounded_soundly_and_no_worse_than_by_their_best_row(seed: int, effort: str) -> None:
    graph = random_network(seed)
    query = asked(graph, seed)
    low, high = torch.from_numpy(query.inputs.lower)[None], torch.from_numpy(query.inputs.upper)[None]
    together, _ = bound_sets(graph, low, high, OutputConstraints(query), REAL, effort)  # pyright: ignore[reportArgumentType]
    alone, _ = bound_sets(graph, low, high, OutputConstraints(query), REAL, effort, certifiable=True)  # pyright: ignore[reportArgumentType]
    assert bool((together >= alone - 1e-9 * (1 + alone.abs())).all())
    y = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 300, seed)).numpy()
    least = np.array([unsafe.slack(y).min() for unsafe in query.unsafe])
    assert (least >= together[0].numpy() - 1e-9 * (1 + np.abs(y).max())).all()


def test_a_mean_of_rows_shows_what_no_row_does() -> None:
    """Y = x on [-1, 1]: y + 1/2 <= 0 and -y + 1/2 <= 0 cannot both be, but each can; their mean is 1/2."""
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.ones(1, 1).double()), 0)
    query = Query(
        InputSet(np.array([-1.0]), np.array([1.0])), (Unsafe(np.array([[1.0], [-1.0]]), np.array([-0.5, -0.5])),)
    )
    found = prove_by_input_splitting(builder.build(), query, REAL, 5.0, lambda _: None)
    assert found.proven
    assert found.subproblems == 1


def test_halving_does_not_stick_to_an_input_that_is_used_up() -> None:
    """A steep row over a narrow input, and a kink over a wide one: the bound depends on the second too."""
    builder = GraphBuilder((2,))
    weight = torch.tensor([[0.0, 1.0], [0.0, -1.0], [1e6, 0.0]]).double()
    last = builder.add(Relu(), builder.add(Linear(weight, torch.tensor([0.0, 0.0, 1e6]).double()), 0))
    builder.add(Linear(torch.tensor([[1.0, 1.0, 1e-3]]).double()), last)
    upper = np.array([float(np.nextafter(1.0, 2.0)), 1.0])
    query = Query(InputSet(np.array([1.0, -1.0]), upper), (Unsafe(np.ones((1, 1)), np.array([2000.0 - 1e-3])),))
    assert prove_by_input_splitting(builder.build(), query, REAL, 5.0, lambda _: None).proven


@pytest.mark.parametrize(
    ("proven", "nearly"),
    [
        ([], False),
        ([(0.5, 0.2), (5.0, 0.3), (9.0, 0.45)], True),  # as fast in the second half as it must go on
        ([(0.5, 0.9), (9.0, 0.01)], False),  # most of it at once, then hardly any more
        ([(0.5, 0.9), (9.0, 0.09)], True),
    ],
)
def test_dividing_goes_on_past_its_share_of_time_while_it_does_not_stall(
    proven: list[tuple[float, float]], nearly: bool
) -> None:
    wall, work = [0.0], [0.0]
    deadline = Deadline.of(8, Clock(lambda: wall[0], lambda: work[0]))
    progress = _Progress(torch.tensor([2.0, 0.0, 4.0]), deadline, grace=2)  # one input is fixed
    for when, share in proven:  # ten seconds of work in all
        work[0] = when
        progress.add(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[2.0 * share, 1.0, 4.0]]))
    work[0] = 10
    assert progress.is_over() != nearly
    work[0] = 7
    assert not progress.is_over()
    work[0] = 17
    assert progress.is_over()
    wall[0], work[0] = 8.0, 1.0  # the wall's time is never passed
    assert progress.is_over()


@pytest.mark.parametrize("most_subproblems", [1, 10, 100])
def test_the_margin_of_what_was_not_decided_is_that_of_all_boxes(
    most_subproblems: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boxes that nobody came to lie below those of the last batch."""
    monkeypatch.setattr("surefoot.verify.input_splitting.BATCH_BOXES", 2)
    for seed in range(6):
        graph = folded(seed)
        query = replace(asked(graph, seed, rows=1), inputs=InputSet(-np.ones(3), np.ones(3)))
        y = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 2000, seed)).numpy()
        options = SplittingOptions(most_subproblems=most_subproblems)
        found = prove_by_input_splitting(graph, query, REAL, 20, lambda _: None, options)
        assert found.why == "as many subproblems as allowed"
        assert found.margin <= query.slack(y).min()


def test_input_splitting_hands_what_it_leaves_open_to_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.verify.input_splitting.FALLBACK_FROM", 0)
    graph = folded(0)
    query = replace(asked(graph, 0, rows=2), inputs=InputSet(-np.ones(3), np.ones(3)))
    hopeless = replace(query, unsafe=tuple(Unsafe(u.weights, u.bounds + 1e6) for u in query.unsafe))
    boxes: list[torch.Tensor] = []

    def fallback(low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        boxes.append(torch.stack([low, high]))
        return torch.full((len(low),), 0.25, dtype=torch.float64), low[:0]

    found = prove_by_input_splitting(graph, hopeless, REAL, 20, lambda _: None, SplittingOptions(fallback=fallback))
    assert len(boxes) == 1
    assert found.proven
    assert found.margin == 0.25
    assert all(leaf.by_fallback for leaf in found.leaves)  # CROWN does not show them in float32 either

    def no_number(low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(low),), torch.nan, dtype=torch.float64), low[:0]

    assert not prove_by_input_splitting(
        graph, hopeless, REAL, 0.2, lambda _: None, SplittingOptions(fallback=no_number)
    ).proven


def test_inputs_that_the_fallback_suspects_are_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.verify.input_splitting.FALLBACK_FROM", 0)
    graph = folded(0)
    query = replace(asked(graph, 0, rows=2), inputs=InputSet(-np.ones(3), np.ones(3)))
    hopeless = replace(query, unsafe=tuple(Unsafe(u.weights, u.bounds + 1e6) for u in query.unsafe))

    def suspicious(low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(low),), -torch.inf, dtype=torch.float64), torch.full((1, 3), 0.125).double()

    def replay(x: torch.Tensor) -> torch.Tensor | None:
        return x[0] if bool((x == 0.125).all()) else None

    found = prove_by_input_splitting(graph, hopeless, REAL, 20, replay, SplittingOptions(fallback=suspicious))
    assert not found.proven
    assert found.counterexample is not None
