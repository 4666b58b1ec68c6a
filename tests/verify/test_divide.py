"""Halving boxes: rows of a conjunction taken together, inputs that are used up, samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.reach.rounding import REAL
from surefoot.verify.attack import sample
from surefoot.verify.divide import Rows, bound_sets, divide
from surefoot.verify.query import Holds, Query, Unsafe
from surefoot.verify.run import Network, _Finish, _Run


def asked(graph: Graph, seed: int, rows: int = 3) -> Query:
    lower, upper = random_box(graph, seed)
    weights = np.random.default_rng(seed).normal(size=(2, rows, graph.output_shape[0]))
    return Query(lower, upper, tuple(Unsafe(w, np.zeros(rows)) for w in weights))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("effort", ["open", "all", "thorough"])
def test_sets_are_bounded_soundly_and_no_worse_than_by_their_best_row(seed: int, effort: str) -> None:
    graph = random_network(seed)
    query = asked(graph, seed)
    low, high = torch.from_numpy(query.lower)[None], torch.from_numpy(query.upper)[None]
    together, _ = bound_sets(graph, low, high, Rows(query), REAL, effort)  # type: ignore[arg-type]
    alone, _ = bound_sets(graph, low, high, Rows(query), REAL, effort, certifiable=True)  # type: ignore[arg-type]
    assert bool((together >= alone - 1e-9 * (1 + alone.abs())).all())
    y = evaluate(graph, samples(query.lower, query.upper, graph, 300, seed)).numpy()
    least = np.array([unsafe.slack(y).min() for unsafe in query.unsafe])
    assert (least >= together[0].numpy() - 1e-9 * (1 + np.abs(y).max())).all()


def test_a_mean_of_rows_shows_what_no_row_does() -> None:
    """Y = x on [-1, 1]: y + 1/2 <= 0 and -y + 1/2 <= 0 cannot both be, but each can; their mean is 1/2."""
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.ones(1, 1).double()), 0)
    query = Query(np.array([-1.0]), np.array([1.0]), (Unsafe(np.array([[1.0], [-1.0]]), np.array([-0.5, -0.5])),))
    found = divide(builder.build(), query, REAL, 5.0, lambda _: None)
    assert found.proven
    assert found.parts == 1


def test_halving_does_not_stick_to_an_input_that_is_used_up() -> None:
    """A steep row over a narrow input, and a kink over a wide one: the bound depends on the second too."""
    builder = GraphBuilder((2,))
    weight = torch.tensor([[0.0, 1.0], [0.0, -1.0], [1e6, 0.0]]).double()
    last = builder.add(Relu(), builder.add(Linear(weight, torch.tensor([0.0, 0.0, 1e6]).double()), 0))
    builder.add(Linear(torch.tensor([[1.0, 1.0, 1e-3]]).double()), last)
    upper = np.array([float(np.nextafter(1.0, 2.0)), 1.0])
    query = Query(np.array([1.0, -1.0]), upper, (Unsafe(np.ones((1, 1)), np.array([2000.0 - 1e-3])),))
    assert divide(builder.build(), query, REAL, 5.0, lambda _: None).proven


def test_samples_are_inside_and_the_nearest_of_many() -> None:
    graph = random_network(4)
    query = asked(graph, 4)
    x = sample(graph, query, 2000)
    assert x.shape == (4, len(query.lower))
    assert bool((x >= torch.from_numpy(query.lower)).all() and (x <= torch.from_numpy(query.upper)).all())
    y = evaluate(graph, x.reshape(-1, *graph.input_shape)).numpy()
    others = evaluate(graph, samples(query.lower, query.upper, graph, 200, 4)).numpy()
    assert query.slack(y).min() <= np.median(query.slack(others))


def folded(seed: int) -> Graph:
    """Two layers of rectifiers over three inputs: bounds need many halvings."""
    generator = torch.Generator().manual_seed(seed)
    builder = GraphBuilder((3,))
    last = 0
    for inputs, outputs in ((3, 16), (16, 16), (16, 2)):
        weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5
        last = builder.add(Linear(weight, torch.randn(outputs, generator=generator, dtype=torch.float64) / 4), last)
        last = builder.add(Relu(), last) if outputs == 16 else last
    return builder.build(last)


def test_boxes_finished_by_signs_give_sound_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked from the first box on, of questions whose true margin is known to be small and positive, nearly."""
    monkeypatch.setattr("surefoot.verify.divide.FINISH_FROM", 0)
    monkeypatch.setattr("surefoot.verify.run.QUICK_PARTS", 1)
    asked_for, finished = 0, 0

    class Counted(_Finish):
        def __call__(self, low: torch.Tensor, high: torch.Tensor) -> float:
            nonlocal asked_for, finished
            found = super().__call__(low, high)
            asked_for, finished = asked_for + 1, finished + (found > 0)
            return found

    monkeypatch.setattr("surefoot.verify.run._Finish", Counted)
    for seed in range(3):
        graph = folded(seed)
        query = replace(asked(graph, seed, rows=2), lower=-np.ones(3), upper=np.ones(3))
        y = evaluate(graph, samples(query.lower, query.upper, graph, 2000, seed)).numpy()
        spread = 0.02 * float(np.ptp(y)) + 1e-6
        least = [unsafe.slack(y).min() for unsafe in query.unsafe]
        moved = tuple(Unsafe(u.weights, u.bounds + m - spread) for u, m in zip(query.unsafe, least, strict=True))
        harder = Query(query.lower, query.upper, moved)
        answer = _Run(Network.of(graph), harder, 4, "divide", 0, False, True).divided(0.3, "trial")
        if isinstance(answer, Holds):
            more = evaluate(graph, samples(harder.lower, harder.upper, graph, 2000, seed + 1)).numpy()
            assert (harder.slack(more) >= answer.margin - 1e-9 * (1 + np.abs(y).max())).all()
    assert asked_for > 20
    assert finished > 5
