"""A function of an affine form holds at every point of the form, and its errors are let out."""

import numpy as np
import pytest
import torch

from functions import CASES, Case, described
from surefoot.reach.parallelogram import parallelogram
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_encloses_the_function_at_every_point(case: Case) -> None:
    function, rng = described(case), np.random.default_rng(0)
    n, m = 30, 3
    radius = np.exp(rng.normal(size=n) - 1)
    centre = rng.normal(size=n) * 2
    if function.least == 0 or function.poles:
        centre = 3.1 * radius + np.exp(centre)
    generators = torch.from_numpy(rng.uniform(-1, 1, (m, n)) * radius)
    error = torch.from_numpy(0.05 * radius)
    form = AffineForm(torch.from_numpy(centre), generators, error)
    box = Predicate.box(-np.ones(m), np.ones(m))
    out, wider = parallelogram(function, form, box)
    assert wider.variables == out.variables
    for _ in range(50):
        a = torch.from_numpy(rng.uniform(-1, 1, m))
        x = form.at(a) + error * torch.from_numpy(rng.uniform(-1, 1, n))
        y = function.value(x)
        fixed = out.at(torch.cat([a, torch.zeros(wider.variables - m, dtype=torch.float64)]))
        units = torch.zeros(n, dtype=torch.float64).index_add(0, out.places[-(wider.variables - m):],
                                                             out.sizes[-(wider.variables - m):])  # fmt: skip
        assert bool(((y - fixed).abs() <= units + out.error + 1e-12 * (1 + y.abs())).all())


def test_where_nothing_is_known_the_error_is_infinite() -> None:
    """The logarithm of what may be negative, and a fixed number, which needs no variable of its own."""
    form = AffineForm(torch.tensor([0.5, 2.0]).double(), torch.tensor([[1.0, 0.0]]).double(), torch.zeros(2).double())
    out, wider = parallelogram(described(("Log", ())), form, Predicate.box(-np.ones(1), np.ones(1)))
    assert out.error.isinf().tolist() == [True, False]
    assert wider.variables <= 2
    assert abs(float(out.centre[1]) - np.log(2)) < 1e-12
