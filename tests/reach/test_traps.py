"""The traps that other verifiers fell into, one test each, numbered as in our notes.

T2 and T3 stand in tests/sets, T7 in tests/spec/test_vnnlib.py.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import surefoot
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, MaxPool2d, Relu, Reshape
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.reach.crown import lower_bounds
from surefoot.reach.exact_stars import exact
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.star_state import begin
from surefoot.reach.stars import approximate
from surefoot.reach.tightening import tighten_by_crown
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate
from surefoot.sets.star import Star
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import brightening
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated, robustness
from surefoot.verify.catalog import METHODS
from surefoot.verify.network import Network
from surefoot.verify.run import verify


def star_of(lower: torch.Tensor, upper: torch.Tensor) -> Star:
    m = lower.numel()
    generators = torch.diag(((upper - lower) / 2).flatten()).reshape(m, *lower.shape)
    return Star(
        AffineForm((lower + upper) / 2, generators, torch.zeros_like(lower)), Predicate.box(-np.ones(m), np.ones(m))
    )


def pool(shape: tuple[int, ...], op: MaxPool2d) -> Graph:
    builder = GraphBuilder(shape)
    builder.add(op, 0)
    return builder.build()


def test_t1_ranges_take_the_end_by_the_sign_of_each_generator() -> None:
    form = AffineForm(torch.zeros(1).double(), torch.tensor([[1.0], [-1.0]]).double(), torch.zeros(1).double())
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
    reached = approximate(graph, begin(star), rule)  # pyright: ignore[reportArgumentType]
    low, high = reached.star.form.box(reached.predicate)
    assert bool((low <= -1.5).all())
    assert bool((high >= -1).all())
    assert bool((high < -0.9).all())
    for leaf in exact(graph, begin(star)):
        assert bool((leaf.star.form.box(leaf.predicate)[1] < -0.9).all())
    relaxed = relax(graph, Box(lower[None], upper[None]), REAL, tighten_by_crown)
    rows = -torch.ones(1, 1, *graph.output_shape).double()
    assert -float(lower_bounds(relaxed, 1, rows)) == pytest.approx(-1.0, abs=1e-6)
    assert float(evaluate(pools_as_relus(graph), upper[None])) == -1.0


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
    query = Query(InputSet(np.array([-1.0]), np.array([1.0])), (Unsafe(np.array([[-1.0]]), np.array([-0.2])),))
    assert float(evaluate(graph, torch.linspace(-1, 1, 99).double()[:, None]).abs().max()) == 0
    assert isinstance(verify(Network.of(graph), query, 5.0, "zonotope"), Unknown)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "curvature"])  # for polynomials alone
def test_t8_what_sampling_misses_is_not_proven(method: str) -> None:
    """One input in a million is unsafe: a method that trusts samples says holds, a proof may not."""
    builder = GraphBuilder((2,))
    hit = torch.tensor([[1e6, 0.0], [-1e6, 0.0], [0.0, 1e6], [0.0, -1e6]]).double()
    offset = torch.tensor([-1e6 * 0.3, 1e6 * 0.3, -1e6 * 0.6, 1e6 * 0.6]).double()
    far = builder.add(Relu(), builder.add(Linear(hit, offset), 0))
    builder.add(Linear(torch.ones(1, 4).double()), far)  # 1e6 times the distance to (0.3, 0.6)
    query = Query(InputSet(np.zeros(2), np.ones(2)), (Unsafe(np.ones((1, 1)), np.array([0.5])),))
    assert not isinstance(verify(Network.of(builder.build()), query, 2.0, method), Holds)


def test_t9_all_linear_programs_are_solved_in_one_place() -> None:
    sources = Path(surefoot.__file__).parent.rglob("*.py")
    solving = [path.name for path in sources if re.search("linprog|Highs\\(|HighsLp|cvxpy|glpk", path.read_text())]
    assert solving == ["predicate.py"]


def test_t10_a_margin_within_float32_is_not_called_float32() -> None:
    """The sum x + 1e8 - x is 0 in float32 for small x: the proof in real arithmetic must say that it is only that."""
    builder = GraphBuilder((1,))
    big = builder.add(Linear(torch.ones(1, 1).double(), torch.tensor([1e8]).double()), 0)
    back = builder.add(Linear(torch.ones(1, 1).double(), torch.tensor([-1e8]).double()), big)
    builder.add(Relu(), back)
    query = Query(InputSet(np.array([0.5]), np.array([1.0])), (Unsafe(np.ones((1, 1)), np.array([0.25])),))
    graph = builder.build()
    assert float(evaluate(graph.to(torch.float32), torch.ones(1, 1))) == 0.0
    verdict = verify(Network.of(graph), query, 5.0)
    assert isinstance(verdict, Violated) or (isinstance(verdict, Holds) and not verdict.float32)


def test_t11_every_candidate_of_a_pool_is_tightened() -> None:
    """max(0, a, b) with a, b <= -1/2 by rows, not by the box: both must be tightened, and then no variable is new."""
    centre = torch.zeros(1, 1, 3).double()
    generators = torch.tensor([[[[0.0, 1.0, 0.0]]], [[[0.0, 0.0, 1.0]]]]).double()
    predicate = Predicate.box(-np.ones(2), np.ones(2)).with_constraints(
        np.array([[1.0, 0.1], [0.1, 1.0]]), np.array([-0.6, -0.6])
    )
    star = Star(AffineForm(centre, generators, torch.zeros_like(centre)), predicate)
    reached = approximate(pool((1, 1, 3), MaxPool2d((1, 3), (1, 3))), begin(star))
    assert reached.predicate.variables == 2
    assert reached.star.minimum(torch.ones(1, 1, 1).double()) == pytest.approx(0.0, abs=1e-12)


def test_t12_a_rectifier_adds_a_variable_only_where_the_sign_is_open() -> None:
    lower, upper = torch.tensor([-1.0, 0.5, -3.0]).double(), torch.tensor([1.0, 2.0, -1.0]).double()
    builder = GraphBuilder((3,))
    builder.add(Relu(), 0)
    reached = approximate(builder.build(), begin(star_of(lower, upper)))
    assert reached.predicate.variables == 3 + 1
    assert len(reached.predicate.bounds) == 2  # y >= 0 is a bound, not a row


RESULTS = Path(__file__).parents[2] / "results"


def test_t13_no_cell_of_our_results_is_a_copy_of_another() -> None:
    for name in ("verify_mnist.json", "verify_competition.json"):
        cells = json.loads((RESULTS / name).read_text())
        times = [cell["cpu"] for cell in cells.values()]
        assert len(set(times)) == len(times)


def test_t14_the_table_of_the_paper_counts_all_of_the_first_hundred_images() -> None:
    """22 to 29 of them have no pixel to brighten: their region is one point, and they count."""
    for cell in json.loads((RESULTS / "verify_mnist.json").read_text()).values():
        assert cell["holds"] + cell.get("violated", 0) + cell.get("unknown", 0) == 100
    dark = np.full((1, 2, 2), 100.0)
    region = brightening(dark, 250.0, 0.01)
    assert (region.lower == region.upper).all()
    builder = GraphBuilder((1, 2, 2))
    builder.add(Linear(torch.tensor([[0.0] * 4, [1.0] * 4]).double()), builder.add(Reshape((4,)), 0))
    network = Network.of(builder.build())
    assert isinstance(verify(network, robustness(region, 1, 2)), Holds)
    assert isinstance(verify(network, robustness(region, 0, 2)), Violated)
