"""The baselines against their formulas."""

import pytest
import torch
import torch.nn.functional as F

from surefoot.core.errors import InputError
from surefoot.losses import BrierLoss, CrossEntropy, LabelSmoothingLoss, MarginSmoothingLoss


def batch(k=5):
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(30, k, generator=generator).double(), torch.randint(k, (30,), generator=generator)


def test_brier_is_the_squared_distance_to_the_label():
    logits, target = batch()
    onehot = F.one_hot(target, 5).double()
    torch.testing.assert_close(BrierLoss()(logits, target), (logits.softmax(1) - onehot).square().sum(1).mean())
    q = torch.rand(30, 5).double().softmax(1)
    torch.testing.assert_close(BrierLoss()(logits, q), (logits.softmax(1) - q).square().sum(1).mean())


def test_brier_keeps_its_digits_when_sure():
    loss = BrierLoss(reduction="none")(torch.tensor([[30.0, 0.0]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(2 * float(torch.tensor(-30.0).double().exp()) ** 2, rel=1e-5)


def test_label_smoothing_in_both_conventions():
    logits, target = batch()
    onehot = F.one_hot(target, 5).double()
    paper = onehot * 0.9 + (1 - onehot) * 0.1 / 4
    torch.testing.assert_close(LabelSmoothingLoss(0.1)(logits, target), F.cross_entropy(logits, paper))
    torch.testing.assert_close(
        LabelSmoothingLoss(0.1, "torch")(logits, target), F.cross_entropy(logits, target, label_smoothing=0.1)
    )
    with pytest.raises(InputError, match="convention must be"):
        LabelSmoothingLoss(0.1, "ours")  # pyright: ignore[reportArgumentType]  # refused on purpose


def test_margin_smoothing_is_its_formula():
    logits, target = batch()
    distance = logits.amax(1, keepdim=True) - logits
    expected = F.cross_entropy(logits, target) + 0.1 * F.relu(distance - 2.0).mean()
    torch.testing.assert_close(MarginSmoothingLoss(2.0)(logits, target), expected)


def test_cross_entropy_is_proper():
    """Minimising the expected loss gives back the distribution that the labels come from."""
    q = torch.tensor([[0.6, 0.3, 0.1]]).double()
    for loss in (CrossEntropy(), BrierLoss()):
        logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

        def closure(loss=loss, logits=logits, optimiser=optimiser):
            optimiser.zero_grad()
            value = loss(logits, q)
            value.backward()
            return value

        optimiser.step(closure)
        torch.testing.assert_close(logits.softmax(1), q, rtol=0, atol=1e-4)
