"""Sigmoid focal loss: the formula at many digits, multi-label masks, soft targets, and what is refused."""

import mpmath
import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.core.shapes import rows_of_sigmoids
from surefoot.losses import FocalLoss, SigmoidFocalLoss
from surefoot.recalibrate import InverseFocal


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("z", [-60.0, -3.0, 0.0, 0.7, 15.0, 60.0])
@pytest.mark.parametrize("y", [0, 1])
def test_the_formula(gamma: float, z: float, y: int) -> None:
    with mpmath.workdps(50):
        p = 1 / (1 + mpmath.exp(-z if y else z))
        want = float(-((1 - p) ** gamma) * mpmath.log(p))
    got = SigmoidFocalLoss(gamma)(torch.tensor([z], dtype=torch.float64), torch.tensor([y]))
    assert got.item() == pytest.approx(want, rel=1e-10, abs=1e-300)


def test_binary_cross_entropy_and_its_gradients() -> None:
    z = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randint(2, (7, 3)).double()
    soft = torch.rand(7, 3, dtype=torch.float64)
    for target in (y, soft):
        one = SigmoidFocalLoss(0.0)(z, target)
        two = torch.nn.functional.binary_cross_entropy_with_logits(z, target)
        assert one.item() == pytest.approx(two.item())
        torch.testing.assert_close(torch.autograd.grad(one, z)[0], torch.autograd.grad(two, z)[0])


def test_unknown_labels_add_nothing() -> None:
    z = torch.tensor([[1.0, torch.inf], [2.0, 0.0]], requires_grad=True)
    y = torch.tensor([[1, -1], [0, 1]])
    loss = SigmoidFocalLoss(2.0, reduction="none")(z, y)
    assert loss.shape == (2, 2)
    assert loss[0, 1] == 0
    mean = SigmoidFocalLoss(2.0)(z, y)
    assert mean.item() == pytest.approx(loss.sum().item() / 3)
    assert SigmoidFocalLoss(2.0)(z.detach(), torch.full((2, 2), -1)) == 0


def test_the_undo_of_two_classes_undoes_it() -> None:
    """At the minimum of the expected loss for chance q, the undo says q."""
    undo = InverseFocal(3.0)
    for q in (0.1, 0.4, 0.9):
        z = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([z], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()  # noqa: B023
            loss = SigmoidFocalLoss(3.0)(z, torch.tensor([q], dtype=torch.float64))  # noqa: B023
            loss.backward()
            return loss

        optimizer.step(closure)
        rows, labels, _ = rows_of_sigmoids(z.detach().numpy(), torch.tensor([1]).numpy())
        assert undo.fit(rows, labels).predict_proba(rows)[0, 1] == pytest.approx(q, abs=1e-4)


def test_mistakes() -> None:
    with pytest.raises(InputError, match="must have the shape"):
        SigmoidFocalLoss()(torch.zeros(2), torch.zeros(3))
    with pytest.raises(InputError, match="from 0 to 1"):
        SigmoidFocalLoss()(torch.zeros(2), torch.tensor([0, 2]))
    assert isinstance(SigmoidFocalLoss().two, FocalLoss)
