"""Loss and gradient against 50-digit arithmetic."""

import mpmath
import pytest
import torch

from surefoot.losses import ByConfidence, CrossEntropy, FocalLoss, InverseFocalLoss
from surefoot.losses.focal import DualFocalLoss

pytestmark = pytest.mark.usefixtures("loops")  # both paths

MARGINS = [-200, -100, -30.5, -5, -1, -0.01, 0, 0.3, 1, 4, 8, 12, 15, 17, 20, 33, 47, 60]
TINY = 1.2e-38  # below this float32 has no digits left to be right in


def exact(logits, gamma):
    """Return the focal loss of class 0 and its gradient, to 50 digits."""
    with mpmath.workdps(50):
        mass = [mpmath.e**z for z in logits]
        p = [m / mpmath.fsum(mass) for m in mass]
        u = mpmath.fsum(mass[1:]) / mpmath.fsum(mass)
        surprise = -mpmath.log(p[0])
        slope = u**gamma * (1 + gamma * p[0] * surprise / u)
        return u**gamma * surprise, [-slope * u, *(slope * q for q in p[1:])]


def close(got, true):
    return abs(got - true) <= max(1e-5 * abs(true), TINY)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3, 5])
@pytest.mark.parametrize("rest", [[0.0], [0.0, -0.75, -3.0, 0.25]])
@pytest.mark.parametrize("soft", [False, True])
def test_focal_is_right_to_1e_5_from_margin_minus_200_to_60(gamma, rest, soft):
    logits = torch.tensor([[m, *rest] for m in MARGINS], dtype=torch.float32, requires_grad=True)
    target = torch.zeros(len(MARGINS), dtype=torch.long)
    if soft:
        target = torch.nn.functional.one_hot(target, logits.shape[1]).float()
    losses = FocalLoss(gamma, reduction="none")(logits, target)
    losses.sum().backward()
    assert logits.grad is not None
    for i in range(len(MARGINS)):
        value, gradient = exact(logits[i].tolist(), gamma)
        assert close(losses[i].item(), value), (MARGINS[i], losses[i].item(), value)
        for got, true in zip(logits.grad[i].tolist(), gradient, strict=True):
            assert close(got, true), (MARGINS[i], got, true)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 3.0])
def test_low_precision_logits_lose_only_what_they_never_had(dtype, gamma):
    logits = torch.tensor([[m, 0.0] for m in (-200.0, -3.0, 0.0, 2.0, 8.0, 12.0, 60.0)], dtype=dtype)
    logits.requires_grad_()
    losses = FocalLoss(gamma, reduction="none")(logits, torch.zeros(7, dtype=torch.long))
    losses.sum().backward()
    assert logits.grad is not None
    for i, row in enumerate(logits.tolist()):
        value, gradient = exact(row, gamma)
        assert close(losses[i].item(), value)
        smallest = torch.finfo(dtype).smallest_normal
        assert logits.grad[i, 0].item() == pytest.approx(float(gradient[0]), rel=4e-3, abs=smallest)


def test_others_that_underflow_leave_no_nan():
    for loss in (CrossEntropy(), FocalLoss(0.5), FocalLoss(ByConfidence()), InverseFocalLoss(), DualFocalLoss()):
        for size in (1e2, 1e4, 1e30, 1e36):
            logits = torch.tensor([[size, 0.0, -size / 2]], requires_grad=True)
            for target in (0, 1):
                value = loss(logits, torch.tensor([target]))
                (gradient,) = torch.autograd.grad(value, logits)
                assert torch.isfinite(value)
                assert torch.isfinite(gradient).all()


def test_one_buffer_gives_the_same_gradient_once():
    logits = torch.randn(7, 5, requires_grad=True)
    target = torch.randint(5, (7,))
    (plain,) = torch.autograd.grad(FocalLoss(3.0)(logits, target), logits)
    loss = FocalLoss(3.0, one_buffer=True)(logits, target)
    (lean,) = torch.autograd.grad(loss, logits, retain_graph=True)
    torch.testing.assert_close(lean, plain)
    with pytest.raises(RuntimeError, match="one backward pass"):
        torch.autograd.grad(loss, logits)


def test_masked_classes_of_minus_infinity_get_no_gradient():
    logits = torch.tensor([[1.0, 0.0, -torch.inf]], requires_grad=True)
    FocalLoss(2.0)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 2] == 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 3.0])
def test_the_gradient_that_has_a_gradient_is_as_exact(gamma):
    logits = torch.tensor([[m, 0.0, -1.0] for m in MARGINS], dtype=torch.float64, requires_grad=True)
    loss = FocalLoss(gamma, reduction="sum")(logits, torch.zeros(len(MARGINS), dtype=torch.long))
    (plain,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (spelt,) = torch.autograd.grad(loss, logits, create_graph=True)
    torch.testing.assert_close(spelt, plain, rtol=1e-9, atol=0.0)
