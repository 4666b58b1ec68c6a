"""AdaFocal's update, step by step, and what a checkpoint keeps of it."""

import math

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.losses import AdaFocalLoss, FocalLoss, InverseFocalLoss


def test_starts_as_focal_with_gamma_one():
    logits, target = torch.randn(20, 4), torch.randint(4, (20,))
    torch.testing.assert_close(AdaFocalLoss()(logits, target), FocalLoss(1.0)(logits, target))


def test_overconfidence_raises_gamma_and_underconfidence_turns_it_inverse():
    loss = AdaFocalLoss(bins=1)
    loss.observe_validation(torch.full((10,), 0.9), torch.arange(10) < 5)
    assert loss.gammas.item() == pytest.approx(math.exp(0.4))
    for _ in range(40):
        loss.observe_validation(torch.full((10,), 0.5), torch.ones(10, dtype=torch.bool))
    assert loss.gammas.item() < 0
    logits, target = torch.randn(8, 3), torch.randint(3, (8,))
    inverse = InverseFocalLoss(-loss.gammas.item())
    torch.testing.assert_close(loss(logits, target), inverse(logits, target))
    for _ in range(100):
        loss.observe_validation(torch.full((10,), 0.5), torch.ones(10, dtype=torch.bool))
    assert loss.gammas.item() == -2.0  # the limit


def test_a_small_gamma_jumps_over_zero_and_back():
    loss = AdaFocalLoss(bins=1, start=0.21)
    loss.observe_validation(torch.full((10,), 0.8), torch.ones(10, dtype=torch.bool))
    assert loss.gammas.item() == pytest.approx(-0.2)
    loss.observe_validation(torch.full((10,), 0.8), torch.zeros(10, dtype=torch.bool))
    assert loss.gammas.item() == pytest.approx(0.2)


def test_bins_hold_equal_shares_and_a_state_dict_keeps_what_was_learnt():
    loss = AdaFocalLoss(bins=4)
    confidence = torch.linspace(0.2, 1.0, 101)
    loss.observe_validation(confidence, torch.rand(101) < confidence)
    assert loss.edges.tolist() == pytest.approx([0.4, 0.6, 0.8])
    twin = AdaFocalLoss(bins=4)
    twin.load_state_dict(loss.state_dict())
    logits, target = torch.randn(20, 4), torch.randint(4, (20,))
    assert twin(logits, target).item() == loss(logits, target).item()


def test_ties_leave_empty_bins_as_they_were():
    loss = AdaFocalLoss(bins=5)
    loss.observe_validation(torch.ones(20), torch.ones(20, dtype=torch.bool))
    assert torch.isfinite(loss.gammas).all()
    loss.observe_validation(torch.ones(0), torch.ones(0, dtype=torch.bool))
    assert torch.isfinite(loss.gammas).all()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError):
        AdaFocalLoss(bins=0)
    with pytest.raises(InputError):
        AdaFocalLoss(limits=(-0.1, 20.0))
