"""What a star's error stands for: a form can have one sign, and the value it stands for the other."""

import numpy as np
import pytest
import torch

from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import ElementwiseAffine, Linear, Relu
from surefoot.reach.exact_stars import exact
from surefoot.reach.star_state import begin
from surefoot.reach.stars import Rule, approximate
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.star import Star
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.stars import slack_of, star_of_inputs


@pytest.mark.parametrize("rule", ["triangle", "zonotope", "polytope", "exact"])
def test_a_form_of_zero_stands_for_a_value_above(rule: Rule) -> None:
    """1 + 1e-30 - 1 is computed as 0, and not positive; what it stands for passes the ReLU, and a weight."""
    builder = GraphBuilder((3,))
    builder.add(Linear(torch.tensor([[1.0, 1e-30, -1.0]], dtype=torch.float64)), 0)
    builder.add(ElementwiseAffine(torch.tensor([1e30], dtype=torch.float64)), builder.add(Relu(), 1))
    query = Query(InputSet(np.ones(3), np.ones(3)), (Unsafe(np.array([[-1.0]]), np.zeros(1)),))
    star, graph = star_of_inputs(query.inputs, (3,)), builder.build()
    reached = list(exact(graph, begin(star))) if rule == "exact" else [approximate(graph, begin(star), rule)]
    assert min(slack_of(state.star, query.unsafe[0])[0] for state in reached) <= -1  # the output is 1


def test_a_star_s_minimum_along_a_direction_too_small_for_a_float64() -> None:
    """The least value is -1e-400, which no float64 is: not 0."""
    star = star_of_inputs(InputSet(np.full(1, -1e-200), np.full(1, 1e-200)), (1,))
    exactly = Star(AffineForm(star.form.centre, star.form.generators, torch.zeros(1).double(), star.form.places,
                        star.form.sizes), star.predicate)  # fmt: skip
    assert exactly.minimum(torch.full((1,), 1e-200, dtype=torch.float64)) < 0
