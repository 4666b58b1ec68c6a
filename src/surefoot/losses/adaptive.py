"""AdaFocal: focal loss that learns its gamma, bin by bin, from the validation set's calibration."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.losses import rows
from surefoot.losses.base import PointwiseLoss, Reduction, check_number
from surefoot.losses.curves import focal_curve, inverse_focal_curve
from surefoot.losses.types import LogitRows, PerSample, SoftTargets, Targets


class AdaFocalLoss(PointwiseLoss):
    """Adapt gamma to the calibration seen on held-out data: more where over-confident, inverse focal where under.

    For p_y in bin b: -(1 - p_y)^gamma_b log p_y if gamma_b >= 0, else -(1 + p_y)^|gamma_b| log p_y. After each epoch
    gamma_b is multiplied by exp(rate (confidence_b - accuracy_b)) (divided, if negative), changes sign when it falls
    below `switch`, and is kept within `limits`. Bins hold equal shares of the validation confidences.

    Property: not proper. It has seen the validation labels: recalibrate and measure on others.
    Reference: Ghosh, Schaaf, Gormley 2022, *AdaFocal: Calibration-aware Adaptive Focal Loss*, eq. 8 and algorithm 1.

    >>> loss = AdaFocalLoss(bins=1)
    >>> loss.observe_validation(torch.tensor([0.9, 0.9]), torch.tensor([True, False]))
    >>> loss.gammas
    tensor([1.4918], dtype=torch.float64)
    """

    gammas: Tensor
    edges: Tensor

    def __init__(
        self,
        bins: int = 15,
        rate: float = 1.0,
        start: float = 1.0,
        switch: float = 0.2,
        limits: tuple[float, float] = (-2.0, 20.0),
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        if bins < 1 or not limits[0] <= -switch <= switch <= limits[1]:
            raise InputError(f"AdaFocal needs bins >= 1 and limits around +-switch, got {bins}, {limits}, {switch}")
        self.rate, self.switch = check_number("rate", rate), check_number("switch", switch)
        self.limits = limits
        # Buffers, so that a checkpoint resumes with the gammas it had learnt.
        self.register_buffer("gammas", torch.full((bins,), check_number("start", start), dtype=torch.float64))
        self.register_buffer("edges", torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1].clone())

    def observe_validation(self, confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"]) -> None:
        """Update every bin's gamma from top-1 confidences and correctness on held-out data."""
        bins = len(self.gammas)
        confidence = confidence.detach().double().to(self.gammas.device)
        if not len(confidence):
            return
        inner = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)[1:-1]
        self.edges = confidence.quantile(inner) if bins > 1 else self.edges
        index = torch.bucketize(confidence, self.edges)
        count = torch.bincount(index, minlength=bins)
        gap = torch.bincount(index, confidence - correct.to(confidence), minlength=bins) / count.clamp(min=1)
        positive = self.gammas >= 0
        moved = self.gammas * torch.where(positive, self.rate * gap, -self.rate * gap).exp()
        moved = torch.where(moved.abs() < self.switch, torch.where(positive, -self.switch, self.switch), moved)
        self.gammas = torch.where(count > 0, moved, self.gammas).clamp(*self.limits)

    def curve(self, log_p: Tensor, log_u: Tensor) -> tuple[Tensor, Tensor]:
        """Compute loss and slope at log p, focal or inverse focal by the sign of the bin's gamma."""
        gamma = self.gammas[torch.bucketize(log_p.detach().double().exp(), self.edges)].to(log_p.dtype)
        focal = focal_curve(log_p, log_u, gamma.clamp(min=0))
        inverse = inverse_focal_curve(log_p, log_u, (-gamma).clamp(min=0))
        return torch.where(gamma >= 0, focal[0], inverse[0]), torch.where(gamma >= 0, focal[1], inverse[1])

    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute the loss of each row with the gamma of its bin."""
        return rows.hard(logits, target, self.curve)

    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute sum_k q_k loss(z, k), each class with the gamma of its own probability."""
        return rows.soft(logits, target, self.curve)
