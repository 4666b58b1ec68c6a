"""The baselines: cross entropy, label smoothing, Brier score, margin-based label smoothing."""

from typing import Literal

import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.losses import rows
from surefoot.losses.base import Loss, PointwiseLoss, Reduction, check_number
from surefoot.losses.curves import CROSS_ENTROPY
from surefoot.losses.types import LogitRows, PerSample, SoftTargets, Targets


class CrossEntropy(PointwiseLoss):
    """Fit probabilities by maximum likelihood.

    L = -log p_y.

    Property: proper. Equal to `torch.nn.CrossEntropyLoss`, to rounding where that is exact, and exact also where a
    confident row makes PyTorch's float32 value round to 0.
    Reference: Good 1952.

    >>> CrossEntropy()(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(1.3863)
    """

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute -log p_y."""
        return rows.hard(logits, target, CROSS_ENTROPY)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute -sum_k q_k log p_k."""
        return rows.soft(logits, target, CROSS_ENTROPY)


class LabelSmoothingLoss(Loss):
    """Fit cross entropy to a target that is not quite sure.

    L = -sum_k q_k log p_k; the paper's q is 1 - eps on the class and eps/(k-1) elsewhere, PyTorch's 1 - eps + eps/k
    and eps/k. They agree when eps_pytorch = eps k/(k-1).

    Property: proper for the smoothed labels, so under-confident for the true ones.
    Reference: Szegedy et al. 2016, section 7; Müller et al. 2019.

    >>> LabelSmoothingLoss(0.05)(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.2269)
    """

    weight: Tensor | None

    def __init__(
        self,
        eps: float = 0.05,
        convention: Literal["paper", "torch"] = "paper",
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if convention not in ("paper", "torch"):
            raise InputError(f"convention must be 'paper' or 'torch', got {convention!r}")
        self.register_buffer("weight", weight)
        self.eps = check_number("eps", eps, high=0.5)
        self.convention = convention
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute cross entropy with the smoothing that the number of classes calls for."""
        k = logits.shape[min(logits.ndim - 1, 1)] if logits.ndim else 0
        eps = self.eps * k / (k - 1) if self.convention == "paper" and k > 1 else self.eps
        smoothed = CrossEntropy(
            weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction, label_smoothing=min(eps, 1.0)
        )
        return smoothed(logits, target)


class BrierLoss(PointwiseLoss):
    """Fit probabilities by least squares.

    L = sum_k (p_k - y_k)^2, between 0 and 2.

    Property: proper, bounded: its gradient vanishes on samples that are badly wrong.
    Reference: Brier 1950.

    >>> BrierLoss()(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.5000)
    """

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute (1 - p_y)^2 + sum over the other classes of p_k^2, with 1 - p_y summed, never subtracted."""
        p = logits.float().softmax(1) if logits.dtype != torch.float64 else logits.softmax(1)
        others = p.scatter(1, target.unsqueeze(1), 0.0)
        return others.sum(1).square() + others.square().sum(1)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute sum_k (p_k - q_k)^2; for weights folded into q, their sum times that of the normalised q."""
        p = logits.float().softmax(1) if logits.dtype != torch.float64 else logits.softmax(1)
        mass = target.sum(1)
        safe = torch.where(mass > 0, mass, 1.0)
        return mass * (p - target / safe.unsqueeze(1)).square().sum(1)


class MarginSmoothingLoss(PointwiseLoss):
    """Forbid logits to run away: cross entropy plus a hinge on the distance to the largest logit (MbLS).

    L = -log p_y + strength * mean_k max(0, max_j z_j - z_k - margin).

    Property: proper as long as no true log-odds exceed the margin.
    Reference: Liu et al. 2022, *The Devil is in the Margin*, eq. 8.

    >>> MarginSmoothingLoss()(torch.tensor([[12.0, 0.0]]), torch.tensor([0]))
    tensor(0.1000)
    """

    def __init__(
        self,
        margin: float = 10.0,
        strength: float = 0.1,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        self.margin = check_number("margin", margin)
        self.strength = check_number("strength", strength)

    def _hinge(self, logits: LogitRows) -> PerSample:
        logits = logits if logits.dtype == torch.float64 else logits.float()
        distance = logits.amax(1, keepdim=True) - logits
        return self.strength * (distance - self.margin).clamp(min=0).mean(1)

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute -log p_y and the hinge."""
        return rows.hard(logits, target, CROSS_ENTROPY) + self._hinge(logits)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute -sum_k q_k log p_k and the hinge, which does not depend on the target."""
        return rows.soft(logits, target, CROSS_ENTROPY) + target.sum(1) * self._hinge(logits)
