"""Attacks: they stay inside, come near to what is unsafe, and reach other classes."""

import numpy as np
import pytest
import torch

from networks import random_network, samples
from queries import asked, folded
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.attack import Slack, approach, deep_fool, descend, sample


def test_samples_are_inside_and_the_nearest_of_many() -> None:
    graph = random_network(4)
    query = asked(graph, 4)
    x, tried = sample(graph, query, 2000)
    assert tried == 2000
    assert x.shape == (4, len(query.inputs.lower))
    assert bool((x >= torch.from_numpy(query.inputs.lower)).all() and (x <= torch.from_numpy(query.inputs.upper)).all())
    y = evaluate(graph, x.reshape(-1, *graph.input_shape)).numpy()
    others = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 200, 4)).numpy()
    assert query.slack(y).min() <= np.median(query.slack(others))
    assert 0 < sample(graph, query, 10**12, seconds=0.05)[1] < 10**9  # when time is up, those that were tried


def test_deep_fool_reaches_another_class() -> None:
    reached = 0
    for seed in range(10):
        graph = random_network(seed)
        x = torch.from_numpy(np.random.default_rng(5).normal(size=graph.input_shape))
        try:
            other = deep_fool(graph, x)
        except InputError:  # a network that knows one class only
            continue
        assert int(evaluate(graph, other[None]).argmax()) != int(evaluate(graph, x[None]).argmax())
        reached += 1
    assert reached > 3


@pytest.mark.parametrize("seed", range(4))
def test_descent_stays_inside_and_goes_below_most_samples(seed: int) -> None:
    graph = folded(seed)
    query = asked(graph, seed)
    low, high = torch.from_numpy(query.inputs.lower), torch.from_numpy(query.inputs.upper)
    found = descend(graph, query, restarts=4, steps=30)
    assert found.shape == (4, 3)
    assert bool(((found >= low) & (found <= high)).all())
    slack = query.slack(evaluate(graph, found).numpy())
    assert (np.diff(slack) >= -1e-12).all()  # the nearest first
    met = query.slack(evaluate(graph, samples(low.numpy(), high.numpy(), graph, 300, seed)).numpy())
    assert slack[0] <= np.median(met) or slack[0] <= 0  # it ends where something unsafe is met
    assert torch.equal(found, descend(graph, query, restarts=4, steps=30))


def test_each_box_is_approached_in_itself() -> None:
    graph = folded(1)
    query = asked(graph, 1, rows=1)
    middle = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)).double()
    low, high = middle - 0.1, middle + 0.1
    nearest = Slack(query, torch.float64)
    found = approach(graph, low, high, lambda y: nearest(y).min(1).values, 10)
    assert bool(((found >= low) & (found <= high)).all())
    before, after = (nearest(evaluate(graph, x)).min(1).values for x in (middle, found))
    assert bool((after <= before).all())
    assert bool((after < before).any())


def test_slack_is_that_of_the_query_as_a_tensor() -> None:
    graph = folded(2)
    query = asked(graph, 2)
    y = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 2)))
    assert np.allclose(Slack(query, torch.float64)(y).min(1).values.numpy(), query.slack(y.numpy()))
    everything = Query(query.inputs, (Unsafe(np.zeros((0, 2)), np.zeros(0)),))
    assert bool((Slack(everything, torch.float64)(y) == -torch.inf).all())
