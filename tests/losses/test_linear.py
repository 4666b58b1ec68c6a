"""The loss with the linear map before it: as the two steps apart, in value, gradients, and what is refused."""

import pytest
import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.losses import BrierLoss, ByConfidence, CrossEntropy, FocalLoss, InverseFocalLoss, LinearLoss
from surefoot.losses.base import PointwiseLoss

LOSSES = {
    "ce": CrossEntropy,
    "focal": lambda **more: FocalLoss(3.0, **more),
    "flsd": lambda **more: FocalLoss(ByConfidence(), **more),
    "inverse": lambda **more: InverseFocalLoss(2.0, **more),
}


def problem(dtype: torch.dtype = torch.float64, n: int = 37, d: int = 5, k: int = 11) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(s, generator=generator).to(dtype).requires_grad_(True) for s in ((n, d), (k, d), (k,))
    )
    return hidden, weight, bias, torch.randint(k, (n,), generator=generator)


def gradients(value: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return list(torch.autograd.grad(value, inputs))


@pytest.mark.parametrize("rows", [1, 7, 37, 1000, None])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_two_steps_in_one(name: str, reduction: str, rows: int | None) -> None:
    hidden, weight, bias, target = problem()
    target[::5] = -100
    classes = torch.linspace(0.5, 2, 11, dtype=torch.float64)
    for more in ({}, {"weight": classes}):
        loss: PointwiseLoss = LOSSES[name](reduction=reduction, **more)
        for b in (bias, None):
            inputs = (hidden, weight) if b is None else (hidden, weight, bias)
            want = loss(torch.nn.functional.linear(hidden, weight, b), target)
            got = LinearLoss(loss, rows)(hidden, weight, target, b)
            assert got.item() == pytest.approx(want.item(), rel=1e-6)
            for one, two in zip(gradients(3 * got, inputs), gradients(3 * want, inputs), strict=True):
                torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_sequences_low_precision_and_extremes() -> None:
    hidden, weight, _, target = problem(torch.float32, 24)
    shaped = hidden.detach().reshape(4, 6, 5)
    assert LinearLoss()(shaped, weight, target.reshape(4, 6)).item() == pytest.approx(
        LinearLoss()(hidden, weight, target).item()
    )
    for dtype in (torch.bfloat16, torch.float16):
        h, w = (x.detach().to(dtype).requires_grad_(True) for x in (hidden, weight))
        value = LinearLoss(FocalLoss(3.0))(h, w, target)
        want = FocalLoss(3.0)((h @ w.T).float(), target)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(want.item(), rel=2e-2)
        assert all(g.dtype == dtype and bool(torch.isfinite(g).all()) for g in gradients(value, (h, w)))
    huge = (1e4 * hidden.detach()).requires_grad_(True)
    assert all(
        bool(torch.isfinite(g).all())
        for g in gradients(LinearLoss(FocalLoss(2.0))(huge, weight, target), (huge, weight))
    )


def test_nothing_to_count_is_zero_and_a_row_that_is_ignored_may_be_anything() -> None:
    hidden, weight, _, target = problem(torch.float32)
    value = LinearLoss(FocalLoss(3.0))(hidden, weight, torch.full_like(target, -100))
    assert value.item() == 0.0
    assert all(not g.any() for g in gradients(value, (hidden, weight)))
    bad = hidden.detach().clone()
    bad[3] = torch.nan
    target[3] = -100
    assert bool(torch.isfinite(LinearLoss()(bad, weight, target)))
    assert LinearLoss()(hidden[:0], weight, target[:0]).item() == 0.0


def test_only_what_is_wanted_is_computed_and_once() -> None:
    hidden, weight, _, target = problem(torch.float32)
    value = LinearLoss()(hidden, weight.detach(), target)
    (got,) = gradients(value, (hidden,))
    assert got.shape == hidden.shape
    value = LinearLoss()(hidden, weight, target)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="one backward pass"):
        value.backward()
    with torch.no_grad():
        assert not LinearLoss()(hidden, weight, target).requires_grad


def test_mistakes() -> None:
    hidden, weight, bias, target = problem(torch.float32)
    with pytest.raises(InputError, match="not a curve"):
        LinearLoss(BrierLoss())
    for more in ({"reduction": "none"}, {"label_smoothing": 0.1}):
        with pytest.raises(InputError, match="needs reduction mean or sum"):
            LinearLoss(CrossEntropy(**more))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="rows must be"):
        LinearLoss(rows=0)
    with pytest.raises(InputError, match="does not fit a weight"):
        LinearLoss()(hidden, weight[:, :3], target)
    with pytest.raises(InputError, match="needs class indices"):
        LinearLoss()(hidden, weight, target[:5])
    with pytest.raises(InputError, match="does not fit 11 classes"):
        LinearLoss()(hidden, weight, target, bias[:3])
    target[4] = 11
    with pytest.raises(InputError, match="target 4 is class 11"):
        LinearLoss()(hidden, weight, target)
