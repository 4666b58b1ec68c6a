"""Splitting: no part may be lost, whatever happens to its counterexamples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import first
from networks import random_box, random_network, samples
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.reach.alpha_crown import tighten_by_alpha_crown
from surefoot.reach.ibp import Box
from surefoot.reach.reduced import ReducedNetwork
from surefoot.reach.relaxation import relax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify import relu_splitting
from surefoot.verify.branch_and_bound import Bounds
from surefoot.verify.input_splitting import prove_by_input_splitting
from surefoot.verify.reduced_splitting import ReducedSplitting
from surefoot.verify.relu_splitting import prove_by_relu_splitting
from surefoot.verify.relu_subproblems import Neuron, Sets, Subproblem


def violated(seed: int, shares: tuple[float, ...]) -> tuple[Query, Box, Graph]:
    graph = pools_as_relus(random_network(seed))
    lower, upper = random_box(graph, seed)
    rows = np.random.default_rng(seed).normal(size=(1, 3))
    y = evaluate(graph, samples(lower, upper, graph, 200, seed)).numpy() @ rows.T
    spread = np.ptp(y) + 1e-6
    unsafe = tuple(Unsafe(rows, np.array([y.min() + share * spread])) for share in shares)
    shape = (1, *graph.input_shape)
    box = Box(torch.from_numpy(lower).reshape(shape), torch.from_numpy(upper).reshape(shape))
    return Query(InputSet(lower, upper), unsafe), box, graph


@pytest.mark.parametrize("seed", first(2, range(30)))
@pytest.mark.parametrize("iterations", [0, 20])
@pytest.mark.parametrize("shares", [(0.02,), (0.02, -0.02), (0.001, -0.2, -0.01)])
@pytest.mark.parametrize("reduced", [True, False])
def test_what_is_violated_is_never_proven_though_no_counterexample_is_replayed(
    seed: int, shares: tuple[float, ...], iterations: int, reduced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part all of whose signs are decided, and that is not proven, must not vanish."""
    monkeypatch.setattr(relu_splitting, "ITERATIONS", iterations)
    if not reduced:
        monkeypatch.setattr(ReducedNetwork, "of", lambda relaxation: None)
    query, box, graph = violated(seed, shares)
    made = relax(graph, box, REAL, tighten_by_alpha_crown(2))
    found = prove_by_relu_splitting(made, query, 0.4, lambda _: None)
    assert not found.proven
    assert not prove_by_input_splitting(graph, query, REAL, 0.1, lambda _: None).proven


def test_a_part_without_options_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two open parts one has all signs decided: the other's proof must not pass for that of both."""
    query, box, graph = violated(0, (0.02,))
    made = relax(graph, box, REAL, tighten_by_alpha_crown(2))

    def bound(self: object, parts: list[Subproblem]) -> Bounds[Subproblem]:
        if len(parts) == 1:
            return Bounds(torch.tensor([-1.0]), [Subproblem(0, options=((1, 0),))])
        return Bounds(torch.tensor([-0.5, -0.5]), [parts[0], replace(parts[1], options=((1, 1),))])

    def halves(self: object, parts: list[Subproblem]) -> list[tuple[Neuron, list[Subproblem]]]:
        return [((1, 0), [Subproblem(0, ((1, 0, sign),)) for sign in (1, -1)]) for part in parts if part.options]

    monkeypatch.setattr(ReducedNetwork, "of", lambda relaxation: None)
    monkeypatch.setattr(relu_splitting.GraphSplitting, "bound", bound)
    monkeypatch.setattr(relu_splitting.GraphSplitting, "_by_trial", halves)
    found = prove_by_relu_splitting(made, query, 5.0, lambda _: None)
    assert not found.proven
    assert found.subproblems == 3


@pytest.mark.parametrize("seed", first(4, range(30)))
def test_both_ways_to_bound_prove_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the reduced network and over the graph the roots get the same bounds, and ascent the same gradient."""
    query, box, graph = violated(seed, (-0.5, -2.0))
    made = relax(graph, box, REAL, tighten_by_alpha_crown(2), multi_neuron=False)
    sets = Sets(made, query)
    by_graph = relu_splitting.GraphSplitting(made, sets, 8)
    reduced = relu_splitting.problem_of(made, sets)
    assert isinstance(reduced, ReducedSplitting)
    one = by_graph.bound(by_graph.roots()).values
    two = reduced.bound(reduced.roots()).values
    size = 1 + float(made.boxes[-1].magnitude.max())
    assert torch.allclose(one, two, atol=0.02 * size)
