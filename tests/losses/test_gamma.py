"""Gamma: the table of the paper's solution, SciPy's Lambert W, continuity, schedules."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import lambertw

from surefoot.core.errors import InputError
from surefoot.losses import ByConfidence, Fixed, FocalLoss, Scheduled, Solved, gamma_star

pytestmark = pytest.mark.usefixtures("loops")  # both paths

TABLE = {0.05: 37.8448, 0.10: 14.9240, 0.15: 8.0320, 0.19: 5.3370, 0.20: 4.8506, 0.25: 3.0702, 0.30: 1.9572}
TABLE |= {0.35: 1.2092, 0.40: 0.6805, 0.45: 0.2927, 0.5: 0.0, 0.7: 0.0, 1.0: 0.0}


def ratio(p, gamma):
    return (1 - p) ** gamma - gamma * p * (1 - p) ** (gamma - 1) * math.log(p)


@pytest.mark.parametrize(("p0", "gamma"), TABLE.items())
def test_gamma_star_is_the_table(p0, gamma):
    assert gamma_star(p0) == pytest.approx(gamma, abs=5.1e-5)  # four printed decimals


@given(p0=st.floats(1e-6, 0.4999999))
def test_gamma_star_solves_its_equation_and_agrees_with_lambert_w(p0):
    gamma = gamma_star(p0)
    assert ratio(p0, gamma) == pytest.approx(1, abs=1e-9)
    if 0.01 < p0 < 0.49:  # where the published closed form itself keeps its digits
        a, b = 1 - p0, p0 * math.log(p0)
        published = a / b + lambertw(-(a ** (1 - a / b) / b) * math.log(a), -1).real / math.log(a)
        assert gamma == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.0, 4.0, 5.0])
def test_inverse_agrees_with_the_table(gamma):
    p0 = {1.0: 1 / math.e, 2.0: 0.2976, 3.0: 0.2526, 4.0: 0.2207, 5.0: 0.1968}[gamma]
    assert gamma_star(p0) == pytest.approx(gamma, abs=3e-3)


@pytest.mark.parametrize("p0", [0, -0.1, 1.1, float("nan")])
def test_gamma_star_refuses_what_is_no_probability(p0):
    with pytest.raises(InputError, match="p0 must be a probability"):
        gamma_star(p0)


def value_at(loss, p):
    p = torch.as_tensor(p, dtype=torch.float64).reshape(-1)
    return loss(torch.stack([p.log(), torch.log1p(-p)], 1), torch.zeros(len(p), dtype=torch.long))


@pytest.mark.parametrize("gammas", [((5.0, 3.0), (0.2,)), ((5.0, 3.0, 2.0), (0.2, 0.5))])
def test_flsd_is_continuous_and_decreasing_with_the_gradients_of_the_published_form(gammas):
    smooth = FocalLoss(ByConfidence(*gammas), reduction="none")
    parity = FocalLoss(ByConfidence(*gammas, continuous=False), reduction="none")
    p = torch.linspace(0.001, 0.999, 20001, dtype=torch.float64)
    values = value_at(smooth, p)
    assert (values.diff() < 0).all()
    assert (value_at(parity, p).diff() > 0).sum() == len(gammas[1])  # one upward jump a threshold
    logits = torch.randn(50, 3).double().requires_grad_()
    target = torch.randint(3, (50,))
    gradients = [torch.autograd.grad(loss(logits, target).sum(), logits)[0] for loss in (smooth, parity)]
    torch.testing.assert_close(*gradients)


def test_flsd_53_jump_is_that_of_the_spec():
    parity = FocalLoss(ByConfidence(continuous=False), reduction="none")
    below, above = value_at(parity, [0.2 - 1e-12, 0.2 + 1e-12]).tolist()
    assert below == pytest.approx(0.527, abs=5e-4)
    assert above == pytest.approx(0.824, abs=5e-4)
    assert above - below == pytest.approx(0.296652, abs=1e-6)


def test_threshold_itself_takes_the_gamma_above():
    log_p = torch.tensor([math.log(0.2)], dtype=torch.float64)
    gamma, _ = ByConfidence().at(0.0)(log_p)
    assert torch.as_tensor(gamma).item() == 3.0


def test_schedule_switches_at_the_papers_epochs():
    loss, seen = FocalLoss(Scheduled()), []
    for epoch in range(350):
        loss.begin_epoch(epoch, 350)
        seen.append(loss.curve.gamma(torch.zeros(1))[0])
    assert [seen.index(g) for g in (5.0, 3.0, 1.0)] == [0, 100, 250]


def test_solved_gives_gamma_star_of_each_sample():
    p = torch.tensor([0.05, 0.2, 0.25, 0.45, 0.5, 0.9, 1.0], dtype=torch.float64)
    gamma, _ = Solved().at(0.0)(p.log())
    assert torch.as_tensor(gamma).tolist() == pytest.approx([gamma_star(float(x)) for x in p], abs=1e-9)
    assert torch.as_tensor(Solved(largest=7.0).at(0.0)(p.log())[0])[0] == 7.0
    assert torch.as_tensor(Solved(1e300).at(0.0)(torch.tensor([-1e4]))[0]).isfinite().all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fixed(-1.0),
        lambda: Fixed(float("nan")),
        lambda: FocalLoss(-0.5),
        lambda: ByConfidence((5.0, 3.0), (0.2, 0.5)),
        lambda: ByConfidence((5.0, 3.0, 1.0), (0.5, 0.2)),
        lambda: ByConfidence((5.0, 3.0), (1.2,)),
        lambda: Scheduled((1.0, 2.0), (0.1, 0.5)),
        lambda: Scheduled((1.0, 2.0), (0.0, 0.0)),
        lambda: Solved(-1.0),
    ],
)
def test_policies_that_make_no_sense_are_refused(make):
    with pytest.raises(InputError):
        make()
