"""Drop-in: the same arguments as PyTorch's cross entropy, the same numbers."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.losses import CrossEntropy, FocalLoss


@pytest.mark.parametrize("make", [CrossEntropy, lambda **kw: FocalLoss(0.0, **kw)], ids=["ce", "focal-0"])
@given(
    seed=st.integers(0, 10_000),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    kind=st.sampled_from(["class", "soft", "image"]),
)
def test_gamma_zero_is_torch_cross_entropy(make, seed, weighted, smoothing, reduction, kind):
    generator = torch.Generator().manual_seed(seed)
    shape = (6, 4, 2, 3) if kind == "image" else (6, 4)
    logits = (5 * torch.randn(shape, generator=generator)).double().requires_grad_()
    if kind == "soft":
        target = torch.rand(shape, generator=generator).double().softmax(1)
    else:
        target = torch.randint(4, (6, *shape[2:]), generator=generator)
        target[0] = 2  # keep one, then ignore some
        target[1:][torch.rand(target[1:].shape, generator=generator) < 0.3] = -100
    weight = torch.rand(4, generator=generator).double() + 0.1 if weighted else None
    options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
    ours, theirs = make(**options)(logits, target), F.cross_entropy(logits, target, **options)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    gradients = [torch.autograd.grad(x.sum(), logits)[0] for x in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_soft_targets_pass_gradients_to_the_target():
    q = torch.rand(3, 4).double().softmax(1).requires_grad_()
    logits = torch.randn(3, 4).double()
    (ours,) = torch.autograd.grad(CrossEntropy()(logits, q), q)
    (theirs,) = torch.autograd.grad(F.cross_entropy(logits, q), q)
    torch.testing.assert_close(ours, theirs)


def test_weight_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match=r"weight has shape \(3,\), but the logits have 4 classes"):
        CrossEntropy(weight=torch.ones(3))(torch.zeros(2, 4), torch.tensor([0, 1]))


@pytest.mark.parametrize("eps", [-0.1, 1.5, float("nan"), float("inf")])
def test_label_smoothing_out_of_range_is_refused(eps):
    with pytest.raises(InputError, match="label_smoothing must be a number"):
        CrossEntropy(label_smoothing=eps)


def test_loss_moves_between_devices_with_its_weight():
    loss = CrossEntropy(weight=torch.ones(3)).to(torch.float64)
    assert loss.weight is not None
    assert loss.weight.dtype == torch.float64
