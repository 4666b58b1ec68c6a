"""MMCE against its definition, pair by pair, and against what the reference code computes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.losses import MDCALoss, MMCELoss, WeightedMMCELoss
from surefoot.losses.batch import laplace_energy

pytestmark = pytest.mark.usefixtures("loops")  # both paths


def kernel(a, b):
    return torch.exp(-(a[:, None] - b[None, :]).abs() / 0.4)


def pairs(f, r):
    return (f[:, None] * f[None, :] * kernel(r, r)).sum()


def reference_weighted(r, c):
    """Compute MMCE_w as the focal-calibration code does: mean over pairs, divided again by their number."""
    right, wrong = r[c > 0], r[c == 0]
    m, n = len(right), len(wrong)
    if not m or not n:
        return torch.tensor(0.0, dtype=r.dtype)

    def mean_pairs(a, wa, b, wb):
        return (wa[:, None] * wb[None, :] * kernel(a, b)).mean()

    error = mean_pairs(right, 1 - right, right, 1 - right) / (m * m + 1e-5)
    error += mean_pairs(wrong, wrong, wrong, wrong) / (n * n + 1e-5)
    error -= 2 * mean_pairs(right, 1 - right, wrong, wrong) / (m * n + 1e-5)
    return (error + 1e-10).sqrt()


@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), ties=st.booleans())
def test_energy_is_the_sum_over_pairs_with_its_gradients(seed, n, ties):
    generator = torch.Generator().manual_seed(seed)
    r = torch.rand(n, generator=generator, dtype=torch.float64)
    if ties:
        r = (r * 4).round() / 4
    f = torch.randn(n, generator=generator, dtype=torch.float64)
    for x in (f, r):
        x.requires_grad_()
    ours, theirs = laplace_energy(f, r), pairs(f, r)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
    mine, true = (torch.autograd.grad(x, (f, r)) for x in (ours, theirs))
    torch.testing.assert_close(mine[0], true[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mine[1], true[1], rtol=1e-10, atol=1e-10)  # |.| has slope 0 at a tie, in both


def batch(seed, n=64, k=4, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.randint(k, (n,), generator=generator)


@pytest.mark.parametrize("seed", range(5))
def test_penalties_are_their_definitions(seed):
    logits, target = batch(seed)
    probs = logits.softmax(1)
    onehot = torch.nn.functional.one_hot(target, 4).double()
    r, predicted = probs.max(1)
    c = (predicted == target).double()
    energy = pairs(c - r, r) / 64**2
    assert MMCELoss().penalty(probs, onehot).item() == pytest.approx(energy.sqrt().item(), abs=1e-6)
    reference = MMCELoss(variant="reference").penalty(probs, onehot)
    assert reference.item() == pytest.approx(energy.item(), rel=1e-9)
    m, n = c.sum(), (1 - c).sum()
    weighted = pairs(c * (1 - r) / m - (1 - c) * r / n, r)
    assert WeightedMMCELoss().penalty(probs, onehot).item() == pytest.approx(weighted.sqrt().item(), abs=1e-6)
    reference = WeightedMMCELoss(variant="reference").penalty(probs, onehot)
    assert reference.item() == pytest.approx(reference_weighted(r, c).item(), rel=1e-6)
    gap = (probs.mean(0) - onehot.mean(0)).abs().mean()
    assert MDCALoss().penalty(probs, onehot).item() == pytest.approx(gap.item())


@pytest.mark.parametrize("variant", ["published", "reference"])
@pytest.mark.parametrize("make", [MMCELoss, WeightedMMCELoss])
@pytest.mark.parametrize("right", [True, False])
def test_all_right_or_all_wrong_is_finite(variant, make, right):
    logits = torch.tensor([[4.0, 0.0], [2.0, 0.0]], requires_grad=True)
    target = torch.zeros(2, dtype=torch.long) if right else torch.ones(2, dtype=torch.long)
    loss = make(variant=variant)(logits, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="variant must be"):
        MMCELoss(variant="best")  # pyright: ignore[reportArgumentType]  # refused on purpose
