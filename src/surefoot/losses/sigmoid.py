"""Losses of independent labels, one sigmoid each: binary and multi-label classifiers."""

import torch
from torch import Tensor, nn

from surefoot.core.errors import InputError
from surefoot.losses.base import Reduction, check_reduction
from surefoot.losses.focal import FocalLoss
from surefoot.losses.gamma import GammaPolicy


class SigmoidFocalLoss(nn.Module):
    """Focal loss of every sigmoid by itself: -(1 - p_t)^gamma log p_t.

    p_t is sigmoid(z) where the label is 1, else 1 - sigmoid(z). logits and targets of one shape; targets 0 or 1, or
    probabilities; -1 is unknown and adds nothing. It is the focal loss of the two classes [0, z], to its last digits:
    the same gamma policies, and `InverseFocal` on such rows (`surefoot.core.shapes.rows_of_sigmoids`) undoes it.

    Arguments:
        gamma: a number, or a policy from `surefoot.losses.gamma`.
        reduction: `mean` over known labels, `sum`, or `none`.

    Property: as `FocalLoss` with two classes; finite for logits of any size.

    Raises:
        InputError: shapes that differ, or targets outside of 0 to 1 that are not -1.

    Reference: Lin et al. 2017, equation 4, without alpha, which changes what confidence means.

    >>> SigmoidFocalLoss(gamma=0.0)(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]))
    tensor(0.2201)
    """

    def __init__(self, gamma: float | GammaPolicy = 2.0, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        self.two = FocalLoss(gamma, reduction="none")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Move a scheduled gamma on."""
        self.two.begin_epoch(epoch, epochs)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the reduced loss."""
        if logits.shape != target.shape:
            raise InputError(f"targets {tuple(target.shape)} must have the shape of the logits, {tuple(logits.shape)}")
        known = target != -1
        if target.device.type == "cpu" and bool((known & ~((target >= 0) & (target <= 1))).any()):
            raise InputError("targets of sigmoids are from 0 to 1, or -1 where unknown")
        z = logits.reshape(-1)
        rows = torch.stack([torch.zeros_like(z), z], 1)
        flat = torch.where(known, target, 0).reshape(-1)
        if target.is_floating_point() and bool(((flat > 0) & (flat < 1)).any()):
            losses = self.two(rows, torch.stack([1 - flat, flat], 1).to(rows.dtype))
        else:
            losses = self.two(rows, flat.long())
        losses = torch.where(known.reshape(-1), losses, 0.0)
        if self.reduction == "none":
            return losses.reshape(logits.shape)
        total = losses.sum()
        return total if self.reduction == "sum" else total / known.sum().clamp(min=1)
