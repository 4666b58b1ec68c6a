"""Each stage of a search: no verdict that samples refute, and no bound above what samples meet."""

from collections.abc import Callable

import numpy as np
import pytest

from cases import first
from networks import random_network, samples
from queries import asked
from surefoot.graph.graph import evaluate
from surefoot.spec.query import Holds, Verdict, Violated
from surefoot.verify import stages
from surefoot.verify.network import Network
from surefoot.verify.search import Search

STAGES: dict[str, Callable[[Search], Verdict | None]] = {
    "attack": lambda s: stages.attack(s, 2, 5),
    "attack_thoroughly": stages.attack_thoroughly,
    "zonotope": stages.zonotope,
    "crown": stages.crown,
    "split_inputs": lambda s: stages.split_inputs(s, 1.0),
    "split_relus": lambda s: stages.split_relus(s, 20),
    "star": lambda s: stages.star(s, "star", "triangle"),
    "exact": stages.exact,
}


@pytest.mark.parametrize("seed", first(4, range(60)))
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_nothing_that_samples_refute(name: str, seed: int) -> None:
    graph = random_network(seed)
    query = asked(graph, seed)
    search = Search(Network.of(graph), query, 2.0)
    verdict = search.deadline.run(lambda: STAGES[name](search))
    y = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, 500, seed)).flatten(1).numpy()
    least = float(query.slack(y).min())
    if isinstance(verdict, Holds):
        assert 0 < verdict.margin <= least + 1e-9 * (1 + np.abs(y).max())
    elif isinstance(verdict, Violated):
        assert query.broken_by(verdict.output)
    else:
        assert search.best <= least + 1e-9 * (1 + np.abs(y).max())


@pytest.mark.parametrize("seed", first(3, range(30)))
def test_cheap_stages_leave_bounds_for_those_behind_them(seed: int) -> None:
    """The boxes of a zonotope, and of CROWN, hold what samples give."""
    graph = random_network(seed)
    query = asked(graph, seed)
    search = Search(Network.of(graph), query, 10.0)
    stages.zonotope(search)
    stages.crown(search)
    pooled = search.network.pooled
    x = samples(query.inputs.lower, query.inputs.upper, pooled, 200, seed)
    for known in (search.seen, search.known):
        for at, box in known.items():
            values = evaluate(type(pooled)(pooled.nodes[: at + 1]), x)
            assert bool((values >= box.lower - 1e-9).all())
            assert bool((values <= box.upper + 1e-9).all())
