"""Focal loss and its relatives: fixed, scheduled, by confidence, solved; inverse; dual."""

import torch
from torch import Tensor

from surefoot.losses import rows
from surefoot.losses.base import PointwiseLoss, Reduction, check_number
from surefoot.losses.curves import FocalCurve, inverse_focal_curve
from surefoot.losses.gamma import GammaPolicy, as_policy
from surefoot.losses.types import LogitRows, PerSample, SoftTargets, Targets


class FocalLoss(PointwiseLoss):
    """Train calibrated: damp the loss of samples that the network already gets right.

    L = -(1 - p_y)^gamma log p_y, with gradient u^gamma (1 + gamma p l / u) (softmax(z) - onehot(y)).

    Arguments:
        gamma: a number, or a policy from `surefoot.losses.gamma` (FLSD-53 is `ByConfidence()`).
        one_buffer: compute the gradient in the forward's only n x k buffer: a third of cross entropy's memory, and one
            backward pass only.
        weight: as in `torch.nn.CrossEntropyLoss`.
        ignore_index: likewise.
        reduction: likewise.
        label_smoothing: likewise.

    Property: classification-calibrated, not proper: the optimum is under-confident by a known map, which
    `surefoot.recalibrate.InverseFocal` inverts. gamma = 0 is cross entropy. Loss and gradient are right to 1e-5
    relative for margins from -200 to 60 in float32; finite for every gamma >= 0 in every dtype.
    Reference: Lin et al. 2017, eq. 4; Mukhoti et al. 2020, eq. 2.

    >>> logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    >>> FocalLoss(gamma=3.0)(logits, torch.tensor([0, 2]))
    tensor(0.3800)
    """

    def __init__(
        self,
        gamma: float | GammaPolicy = 3.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        one_buffer: bool = False,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        self.policy = as_policy(gamma)
        self.one_buffer = one_buffer
        self.curve = FocalCurve(self.policy.at(0.0))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Move a scheduled gamma on."""
        self.curve = FocalCurve(self.policy.at(epoch / max(epochs, 1)))

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute -(1 - p_y)^gamma log p_y."""
        return rows.hard(logits, target, self.curve, self.one_buffer)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute -sum_k q_k (1 - p_k)^gamma log p_k: the form whose bias `InverseFocal` inverts."""
        return rows.soft(logits, target, self.curve)

    def extra_repr(self) -> str:
        """Show the policy."""
        return f"gamma={self.policy}"


class InverseFocalLoss(PointwiseLoss):
    """Push harder on what is already right, so that post-hoc calibration has more to work with.

    L = -(1 + p_y)^gamma log p_y.

    Property: not proper; meant to be followed by a calibrator. gamma = 0 is cross entropy.
    Reference: Wang, Feng, Zhang 2021, *Rethinking Calibration of Deep Neural Networks*, section 5.

    >>> InverseFocalLoss(gamma=0.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        self.gamma = check_number("gamma", gamma)

    def curve(self, log_p: Tensor, log_u: Tensor) -> tuple[Tensor, Tensor]:
        """Compute loss and slope at log p."""
        return inverse_focal_curve(log_p, log_u, self.gamma)

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute -(1 + p_y)^gamma log p_y."""
        return rows.hard(logits, target, self.curve)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute -sum_k q_k (1 + p_k)^gamma log p_k."""
        return rows.soft(logits, target, self.curve)


class DualFocalLoss(PointwiseLoss):
    """Balance over- and under-confidence: look also at the strongest class below the target.

    L = -(1 - p_y + p_j)^gamma log p_y, with p_j the largest probability strictly below p_y (0 if there is none).
    The gradient flows through p_j, as in the authors' code.

    Property: not proper. gamma = 0 is cross entropy.
    Reference: Tao, Dong, Xu 2023, *Dual Focal Loss for Calibration*, eq. 6.

    >>> DualFocalLoss(gamma=5.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.0217)
    """

    def __init__(
        self,
        gamma: float = 5.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        self.gamma = check_number("gamma", gamma)

    def _loss(self, log_p: Tensor, log_u: Tensor, below: Tensor) -> Tensor:
        return ((log_u.exp() + below) ** self.gamma if self.gamma else 1.0) * -log_p

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute the loss; the class below is found by value, so ties with the target do not count."""
        index = target.unsqueeze(1)
        log_p, log_u = rows.log_p_and_u(logits)
        p = log_p.exp()
        below = torch.where(p < p.gather(1, index), p, 0.0).amax(1)
        return self._loss(log_p.gather(1, index).squeeze(1), log_u.gather(1, index).squeeze(1), below)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute the loss of every class, weighted; the class below each one comes from one sort."""
        log_p, log_u = rows.log_p_and_u(logits)
        ordered, order = log_p.exp().sort(1)
        first_equal = torch.searchsorted(ordered.detach(), ordered.detach())
        below = torch.where(first_equal > 0, ordered.gather(1, (first_equal - 1).clamp(min=0)), 0.0)
        losses = self._loss(log_p, log_u, torch.zeros_like(below).scatter(1, order, below))
        return rows.weighted(target, losses).sum(1)
