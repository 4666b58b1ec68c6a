"""Focal's relatives against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from surefoot.losses import DualFocalLoss, FocalLoss, InverseFocalLoss


def batch(seed=0, n=40, k=6):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, k, generator=generator).double(), torch.randint(k, (n,), generator=generator)


@given(gamma=st.floats(0, 8), seed=st.integers(0, 100))
def test_focal_is_its_formula(gamma, seed):
    logits, target = batch(seed)
    p = logits.softmax(1).gather(1, target[:, None]).squeeze(1)
    torch.testing.assert_close(FocalLoss(gamma)(logits, target), (-((1 - p) ** gamma) * p.log()).mean())


def test_inverse_focal_is_its_formula():
    logits, target = batch()
    p = logits.softmax(1).gather(1, target[:, None]).squeeze(1)
    torch.testing.assert_close(InverseFocalLoss(2.0)(logits, target), (-((1 + p) ** 2) * p.log()).mean())


def test_dual_focal_looks_at_the_largest_probability_strictly_below():
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2]]).double()
    target = torch.tensor([1, 0, 2])
    below = torch.tensor([0.2, 0.2, 0.0]).double()
    p = probs.gather(1, target[:, None]).squeeze(1)
    expected = -((1 - p + below) ** 5) * p.log()
    loss = DualFocalLoss(5.0, reduction="none")
    torch.testing.assert_close(loss(probs.log(), target), expected)
    torch.testing.assert_close(loss(probs.log(), F.one_hot(target, 3).double()), expected)


def test_dual_focal_gradient_flows_through_the_rival():
    logits = torch.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    p = logits.softmax(1)
    by_hand = -((1 - p[:, 0] + p[:, 1]) ** 5) * p[:, 0].log()
    (expected,) = torch.autograd.grad(by_hand.sum(), logits)
    (ours,) = torch.autograd.grad(DualFocalLoss(5.0)(logits, torch.tensor([0])), logits)
    torch.testing.assert_close(ours, expected)


def test_negative_gamma_is_refused():
    with pytest.raises(ValueError, match="gamma must be"):
        InverseFocalLoss(-1.0)


def test_names_its_policy():
    assert repr(FocalLoss(2.0)) == "FocalLoss(gamma=Fixed(value=2.0))"
