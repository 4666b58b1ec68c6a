"""A star's members are its form's, and its minimum is below them all, and near."""

import numpy as np
import pytest
import torch

from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate
from surefoot.sets.star import Star
from surefoot.spec.input_set import InputSet
from surefoot.verify.stars import star_of_inputs


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_is_below_every_member_and_reached(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.normal(size=4)
    box = star_of_inputs(InputSet(low, low + rng.random(4)), (2, 2))
    row = rng.normal(size=(1, box.predicate.variables))
    cut = box.predicate.with_constraints(row, np.array([0.1]))
    star = Star(box.form, cut)
    assert star.shape == (2, 2)
    direction = torch.from_numpy(rng.normal(size=(2, 2)))
    places = rng.uniform(cut.lower, cut.upper, (4000, cut.variables))
    members = [star.member(a) for a in places if row[0] @ a <= 0.1]
    values = [float((direction * member).sum()) for member in members]
    least = star.minimum(direction)
    assert least <= min(values)
    assert least >= min(values) - 0.5 * (max(values) - min(values))


def test_a_form_s_error_widens_the_minimum() -> None:
    star = star_of_inputs(InputSet(np.zeros(1), np.ones(1)), (1,))
    form = AffineForm(star.form.centre, star.form.generators, torch.full((1,), 0.25).double(), star.form.places,
                      star.form.sizes)  # fmt: skip
    assert isinstance(star.predicate, Predicate)
    assert Star(form, star.predicate).minimum(torch.ones(1).double()) == pytest.approx(-0.25, abs=1e-12)
