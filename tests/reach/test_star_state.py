"""Propagation of affine forms: affine operations are exact, forms that nobody needs go, deviations are values again."""

import numpy as np
import pytest
import torch

from cases import first
from networks import random_box, random_network, samples
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Affine, Linear, Relu
from surefoot.reach.reference import reference_at
from surefoot.reach.star_state import Count, begin, leaving, moved_by, propagate_affine, step, values_entering
from surefoot.sets.star import Star
from surefoot.spec.input_set import InputSet
from surefoot.verify.stars import star_of_inputs


def box(low: float, high: float) -> Star:
    return star_of_inputs(InputSet(np.full(2, low), np.full(2, high)), (2,))


def line() -> Graph:
    builder = GraphBuilder((2,))
    weight = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [3.0, 0.0]], dtype=torch.float64)
    builder.add(Linear(weight, torch.ones(3).double()), 0)
    builder.add(Relu(), 1)
    return builder.build()


@pytest.mark.parametrize("seed", first(6, range(60)))
def test_affine_operations_give_the_box_of_samples(seed: int) -> None:
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    state = begin(star_of_inputs(InputSet(lower, upper), graph.input_shape))
    while state.at < len(graph.nodes) and isinstance(graph.nodes[state.at].op, Affine):
        state = propagate_affine(graph, state)
    least, most = state.star.form.box(state.star.predicate)
    values = evaluate(Graph(graph.nodes[: state.at]), samples(lower, upper, graph, 100, seed))
    assert bool((values >= least - state.star.form.error - 1e-12).all())
    assert bool((values <= most + state.star.form.error + 1e-12).all())


def test_deviations_from_a_point_are_values_again() -> None:
    """The form around the middle moved back to values, and what is sure to be off leaves as no deviation."""
    graph = line()
    star = box(0.9, 1.1)
    plain = propagate_affine(graph, begin(star))
    reference = reference_at(graph, star.form.centre[None])
    around = propagate_affine(graph, begin(star, reference))
    assert torch.allclose(around.star.form.centre, plain.star.form.centre, atol=1e-12)
    there = moved_by(reference, 1, around.forms[1], None)
    assert torch.allclose(moved_by(reference, 1, there, None, back=True).centre, around.forms[1].centre, atol=1e-12)
    form, low, high, free = values_entering(around, 1, around.forms[1])
    assert free is not None
    assert not bool(free.any())  # each sign is the one at the point
    assert bool((low <= high).all())
    assert torch.equal(leaving(around, 1, form, free).centre, form.centre)


def test_forms_that_nobody_needs_go_and_costs_add_up() -> None:
    graph = line()
    state = propagate_affine(graph, begin(box(0.0, 1.0)))
    assert set(state.forms) == {1}
    state = step(graph, state, state.forms[1], state.predicate, Count(lps_solved=2))
    assert set(state.forms) == {2}
    assert (state.count + Count(1, 3)).lps_solved == 3
    assert np.array_equal(state.predicate.lower, [-1.0, -1.0])
