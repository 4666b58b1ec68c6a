"""Boxes that halving leaves open: the fallback is sound, in one process or two."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import samples
from queries import asked, folded
from surefoot.core.deadline import Deadline
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Reshape
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.fallback import FallbackSolver, Task, prove_box
from surefoot.verify.network import Network
from surefoot.verify.search import Search


def test_boxes_proven_by_signs_have_sound_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small boxes, with a margin that is a twentieth of the range of values there."""
    monkeypatch.setattr("surefoot.verify.fallback.QUICK_SUBPROBLEMS", 1)
    proven = split = 0
    for seed in range(12):
        graph = folded(seed)
        centre = np.random.default_rng(seed).uniform(-1, 1, size=3)
        query = replace(asked(graph, seed, rows=2), inputs=InputSet(centre - 0.3, centre + 0.3))
        y = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 2000, seed)).numpy()
        spread = 0.05 * float(np.ptp(y)) + 1e-6
        least = [unsafe.slack(y).min() for unsafe in query.unsafe]
        moved = tuple(Unsafe(u.weights, u.bounds + m - spread) for u, m in zip(query.unsafe, least, strict=True))
        query = replace(query, unsafe=moved)
        run = Search(Network.of(graph), query, 60)
        solver = FallbackSolver(Task(graph, query, *run.with_slack_relus()), Deadline.of(60.0))
        bounds, _ = solver(torch.from_numpy(query.inputs.lower)[None], torch.from_numpy(query.inputs.upper)[None])
        margin = float(bounds)
        more = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 2000, seed + 1)).numpy()
        assert (query.slack(more) >= margin - 1e-9 * (1 + np.abs(y).max())).all()
        proven += margin > 0
        split += sum(len(found.signed) > 0 for *_, found in solver.done)
        assert margin <= 0 or solver.holds_in_float32()
    assert proven > 6
    assert split > 3


def test_two_processes_finish_what_one_does() -> None:
    graph = folded(1)
    query = replace(asked(graph, 1, rows=2), inputs=InputSet(-0.3 * np.ones(3), 0.3 * np.ones(3)))
    y = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 2000, 1)).numpy()
    moved = tuple(Unsafe(u.weights, u.bounds + u.slack(y).min() - 0.2 * np.ptp(y)) for u in query.unsafe)
    query = replace(query, unsafe=moved)
    run = Search(Network.of(graph), query, 60)
    task = Task(graph, query, *run.with_slack_relus())
    low = torch.tensor([[-0.3, -0.3, -0.3], [0.0, -0.3, -0.3]]).double()
    high = torch.tensor([[0.0, 0.3, 0.3], [0.3, 0.3, 0.3]]).double()
    alone, together = (FallbackSolver(task, Deadline.of(60.0), jobs) for jobs in (1, 2))
    assert torch.equal(alone(low, high)[0], together(low, high)[0])
    assert bool((together(low, high)[0] > 0).all())
    assert together.holds_in_float32()


def test_what_seems_a_counterexample_is_told_whatever_the_shape_of_inputs() -> None:
    """Y = x on pictures of one pixel: unsafe from 1/2 down."""
    builder = GraphBuilder((1, 1, 1))
    builder.add(Linear(torch.ones(1, 1).double()), builder.add(Reshape((1,)), 0))
    graph = builder.build()
    query = Query(InputSet(np.zeros(1), np.ones(1)), (Unsafe(np.ones((1, 1)), np.full(1, 0.5)),))
    task = Task(graph, query, graph, query)
    found = prove_box(task, torch.zeros(1).double(), torch.ones(1).double(), Deadline.of(5.0))
    assert found.margin == -np.inf
    assert found.suspects is not None
    assert found.suspects.ndim == 2
    assert bool((found.suspects <= 0.5).all())
