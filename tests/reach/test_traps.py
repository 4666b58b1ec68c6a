"""The traps that other verifiers fell into, one test each (T1 to T8 of our notes); T2 and T3 stand in tests/sets."""

import numpy as np
import pytest
import torch

from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, MaxPool2d, Relu
from surefoot.graph.passes.pools import pools_as_rectifiers
from surefoot.reach.backward import lower_bounds, relax, tighten_by_substitution
from surefoot.reach.boxes import Box
from surefoot.reach.rounding import REAL
from surefoot.reach.stars import Star, approximate, begin, exact
from surefoot.sets.form import Form
from surefoot.sets.predicate import Predicate
from surefoot.verify.query import Query, Unknown, Unsafe
from surefoot.verify.run import Network, verify


def star_of(lower: torch.Tensor, upper: torch.Tensor) -> Star:
    m = lower.numel()
    generators = torch.diag(((upper - lower) / 2).flatten()).reshape(m, *lower.shape)
    return Star(Form((lower + upper) / 2, generators, torch.zeros_like(lower)), Predicate.box(-np.ones(m), np.ones(m)))


def pool(shape: tuple[int, ...], op: MaxPool2d) -> Graph:
    builder = GraphBuilder(shape)
    builder.add(op, 0)
    return builder.build()


def test_t1_ranges_take_the_end_by_the_sign_of_each_generator() -> None:
    form = Form(torch.zeros(1).double(), torch.tensor([[1.0], [-1.0]]).double(), torch.zeros(1).double())
    low, high = form.box(Predicate.box(-np.ones(2), np.ones(2)))
    assert (float(low), float(high)) == pytest.approx((-2.0, 2.0))
    assert float(low) <= -2
    assert float(high) >= 2


@pytest.mark.parametrize("rule", ["triangle", "zonotope", "polytope"])
def test_t4_padding_is_minus_infinity(rule: str) -> None:
    """Truth in [-2, -1]; tools that pad with 0 say [0, 0]."""
    lower, upper = torch.full((1, 2, 2), -2.0).double(), torch.full((1, 2, 2), -1.0).double()
    graph = pool((1, 2, 2), MaxPool2d((3, 3), (2, 2), (1, 1, 1, 1)))
    star = star_of(lower, upper)
    reached = approximate(graph, begin(star), rule)  # type: ignore[arg-type]
    low, high = reached.star.form.box(reached.predicate)
    assert bool((low <= -1.5).all())
    assert bool((high >= -1).all())
    assert bool((high < -0.9).all())
    for leaf in exact(graph, begin(star)):
        assert bool((leaf.star.form.box(leaf.predicate)[1] < -0.9).all())
    relaxed = relax(graph, Box(lower[None], upper[None]), REAL, tighten_by_substitution)
    rows = -torch.ones(1, 1, *graph.output_shape).double()
    assert -float(lower_bounds(relaxed, 1, rows)) == pytest.approx(-1.0, abs=1e-6)
    assert float(evaluate(pools_as_rectifiers(graph), upper[None])) == -1.0


def test_t5_the_best_lower_bound_stays_among_the_candidates() -> None:
    """max(x1 in [0, 1], x2 in [-.5, .5]) is in [0, 1]; a list that loses x1 gives [-.5, .5]."""
    lower, upper = torch.tensor([[[0.0, -0.5]]]).double(), torch.tensor([[[1.0, 0.5]]]).double()
    graph = pool((1, 1, 2), MaxPool2d((1, 2), (1, 2)))
    reached = approximate(graph, begin(star_of(lower, upper)))
    assert reached.star.minimum(torch.ones(1, 1, 1).double()) == pytest.approx(0.0, abs=1e-9)
    assert -reached.star.minimum(-torch.ones(1, 1, 1).double()) == pytest.approx(1.0, abs=1e-9)


def test_t6_an_over_approximation_never_says_violated_without_an_input() -> None:
    """A candidate of an over-approximate set that no real input reaches stays unknown."""
    builder = GraphBuilder((1,))
    both = builder.add(Linear(torch.tensor([[1.0], [1.0]]).double()), 0)
    builder.add(Linear(torch.tensor([[1.0, -1.0]]).double()), builder.add(Relu(), both))
    graph = builder.build()  # relu(x) - relu(x): 0, but two variables of a star
    query = Query(np.array([-1.0]), np.array([1.0]), (Unsafe(np.array([[-1.0]]), np.array([-0.2])),))
    assert float(evaluate(graph, torch.linspace(-1, 1, 99).double()[:, None]).abs().max()) == 0
    assert isinstance(verify(Network.of(graph), query, 5.0, "zonotope"), Unknown)


def test_t12_a_rectifier_adds_a_variable_only_where_the_sign_is_open() -> None:
    lower, upper = torch.tensor([-1.0, 0.5, -3.0]).double(), torch.tensor([1.0, 2.0, -1.0]).double()
    builder = GraphBuilder((3,))
    builder.add(Relu(), 0)
    reached = approximate(builder.build(), begin(star_of(lower, upper)))
    assert reached.predicate.variables == 3 + 1
    assert len(reached.predicate.bounds) == 2  # y >= 0 is a bound, not a row
