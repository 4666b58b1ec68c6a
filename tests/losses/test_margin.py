"""The margin loss against ArcFace written out."""

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.losses.margin import AngularMarginLoss


def test_the_margin_loss_is_arcface() -> None:
    generator = torch.Generator().manual_seed(0)
    cosines = (2 * torch.rand(50, 4, generator=generator) - 1).double()
    target = torch.randint(4, (50,), generator=generator)
    angles = cosines.arccos()
    moved = torch.where(torch.nn.functional.one_hot(target, 4) > 0, (angles + 0.5).cos(), cosines)
    known = (angles.gather(1, target[:, None])[:, 0] + 0.5) < torch.pi
    want = torch.nn.functional.cross_entropy(30 * moved, target, reduction="none")
    for i in known.nonzero()[:, 0].tolist():
        got = AngularMarginLoss(30, 0.5)(cosines[i : i + 1], target[i : i + 1])
        assert float(got) == pytest.approx(float(want[i]), rel=1e-9, abs=1e-9)
    assert float(AngularMarginLoss(1.0, 0.0)(cosines, target)) == pytest.approx(
        float(torch.nn.functional.cross_entropy(cosines, target))
    )


def test_the_margin_loss_rises_as_the_angle_does_and_has_gradients_at_the_ends() -> None:
    cosine = torch.linspace(-1, 1, 201, dtype=torch.float64).requires_grad_(True)
    rows = torch.stack([cosine, torch.zeros(201).double()], 1)
    losses = torch.stack([AngularMarginLoss(4, 0.5)(r[None], torch.tensor([0])) for r in rows])
    assert bool((losses.detach().diff() < 1e-12).all())
    (slope,) = torch.autograd.grad(losses.sum(), cosine)
    assert bool(torch.isfinite(slope).all())


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"margin": -0.1}, {"margin": 2.0}])
def test_margins_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be positive"):
        AngularMarginLoss(**wrong)
    with pytest.raises(InputError, match="are not classes"):
        AngularMarginLoss()(torch.zeros(2, 3), torch.tensor([0, 3]))
