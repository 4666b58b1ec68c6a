"""Losses that look at the calibration of a whole batch: MMCE, weighted MMCE, MDCA."""

from abc import ABC, abstractmethod
from typing import Any, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from surefoot.core.errors import InputError
from surefoot.losses.base import Loss, check_number, check_reduction, flatten
from surefoot.losses.proper import CrossEntropy
from surefoot.losses.types import LogitRows, PerSample, Scalar


class BatchLoss(Loss, ABC):
    """Cross entropy plus a penalty on a batch: `strength` times what `penalty` says.

    Arguments: as `torch.nn.CrossEntropyLoss`, without reduction `none`, since a penalty on a batch has no share per
    sample. Reduction `sum` multiplies the whole by the number of rows (as the paper's training does).
    """

    def __init__(
        self,
        strength: float,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["mean", "sum"] = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_reduction(reduction, ("mean", "sum"))
        self.strength = check_number("strength", strength)
        self.reduction = reduction
        self.cross_entropy = CrossEntropy(weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)

    @abstractmethod
    def penalty(self, probs: LogitRows, target: LogitRows) -> Scalar:
        """Compute the penalty from probabilities and target distributions, both (n, k)."""

    @final
    def forward(self, logits: Tensor, target: Tensor) -> Scalar:
        """Compute (cross entropy + strength * penalty), times the number of rows for reduction `sum`."""
        loss = self.cross_entropy(logits, target)
        rows, targets, _, all_kept = flatten(logits, target, self.cross_entropy.ignore_index)
        rows = rows if rows.dtype == torch.float64 else rows.float()
        if not targets.is_floating_point():
            if not all_kept:
                kept = targets != self.cross_entropy.ignore_index
                rows, targets = rows[kept], targets[kept]
            targets = torch.zeros_like(rows).scatter_(1, targets.unsqueeze(1), 1.0)
        if len(rows):
            loss = loss + self.strength * self.penalty(rows.softmax(1), targets).to(loss.dtype)
        return loss * len(rows) if self.reduction == "sum" else loss


class _LaplaceGram(Function):
    """Compute F K F^T for K_ij = exp(-|r_i - r_j| / h) in O(n log n): two prefix sums over sorted r; ties apart."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, r: Tensor, width: float) -> Tensor:
        r_sorted, order = r.double().sort()
        f_sorted = f.double()[:, order]
        field, tilt = _laplace_fields(f_sorted, r_sorted, width)
        ctx.dtype = f.dtype
        ctx.save_for_backward(order, f_sorted, field, tilt)
        return (f_sorted @ field.T).to(f.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        order, f, field, tilt = ctx.saved_tensors
        both = (grad + grad.T).double()
        for_f, for_r = both @ field, (f * (both @ tilt)).sum(0, keepdim=True)
        unsorted = torch.cat([for_f, for_r]).to(ctx.dtype)
        unsorted = torch.empty_like(unsorted).index_copy_(1, order, unsorted)
        return unsorted[:-1], unsorted[-1], None


def _laplace_fields(f: Tensor, r: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Compute field_i = sum_j f_j exp(-|r_i - r_j| / width), for f (m, n) and rising r (n,), and its slope in r_i."""
    _, block, sizes = torch.unique_consecutive(r, return_inverse=True, return_counts=True)
    ends = sizes.cumsum(0)
    left, right = (ends - sizes)[block], ends[block]  # where each one's block of ties begins and ends
    grow = (r / width).exp()
    shrink = grow.reciprocal()
    below = shrink * _prefix(f * grow)[:, left]
    rising = _prefix(f * shrink)
    above = grow * (rising[:, -1:] - rising[:, right])
    flat = _prefix(f)
    field = below + above + flat[:, right] - flat[:, left]
    return field, (above - below) / width


def _prefix(values: Tensor) -> Tensor:
    return torch.nn.functional.pad(values.cumsum(1), (1, 0))


def laplace_gram(f: Float[Tensor, "m n"], r: PerSample, width: float = 0.4) -> Float[Tensor, "m m"]:
    """Compute sum_ij f_ai f_bj exp(-|r_i - r_j| / width) for all a, b, in O(n log n), for r in [0, 1].

    >>> laplace_gram(torch.tensor([[1.0, -1.0]]), torch.tensor([0.5, 0.5]))
    tensor([[0.]])
    """
    return _LaplaceGram.apply(f, r, width)  # type: ignore[no-any-return]


def laplace_energy(f: PerSample, r: PerSample) -> Scalar:
    """Compute sum_ij f_i f_j exp(-|r_i - r_j| / 0.4)."""
    return laplace_gram(f.unsqueeze(0), r)[0, 0]


def _top(probs: LogitRows, target: LogitRows) -> tuple[PerSample, PerSample]:
    """Return top-1 confidences and how right they are: 1 or 0, or the target's mass on the prediction."""
    confidence, predicted = probs.max(1)
    return confidence, target.gather(1, predicted.unsqueeze(1)).squeeze(1).to(probs.dtype)


def _root(energy: Scalar) -> Scalar:
    return (energy.clamp(min=0) + 1e-10).sqrt()  # the reference's guard: the root has no slope at 0


class MMCELoss(BatchLoss):
    """Penalise miscalibration of the batch by a kernel two-sample statistic (MMCE).

    With r the top-1 confidence, c its correctness, kernel k(a, b) = exp(-|a - b| / 0.4):
    MMCE = sqrt(sum_ij (c_i - r_i)(c_j - r_j) k(r_i, r_j)) / n. The reference code leaves the root out.

    Arguments:
        strength: factor of the penalty (the paper's lambda, 2).
        variant: `published`, or `reference` for what the focal-calibration code computes (the square).

    Property: its square is an unbiased-up-to-1/n estimate of a proper calibration distance; O(n log n) here.
    Reference: Kumar, Sarawagi, Jain 2018, eq. 4.

    >>> MMCELoss()(torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1])) > 5
    tensor(True)
    """

    def __init__(
        self,
        strength: float = 2.0,
        variant: Literal["published", "reference"] = "published",
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["mean", "sum"] = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            strength, weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
        )
        self.variant = _check_variant(variant)

    def penalty(self, probs: LogitRows, target: LogitRows) -> Scalar:
        """Compute MMCE, or its square for the reference variant."""
        r, c = _top(probs, target)
        energy = laplace_energy((c - r) / len(r), r)
        return energy if self.variant == "reference" else _root(energy)


class WeightedMMCELoss(BatchLoss):
    """Penalise miscalibration with equal weight for right and wrong predictions (MMCE_w, the paper's baseline).

    With m right and n wrong predictions: MMCE_w^2 = sum over right pairs of (1-r)(1-r') k / m^2, plus over wrong pairs
    of r r' k / n^2, minus twice over mixed pairs of (1-r) r' k / (m n). The reference code divides by the number of
    pairs twice over, which all but switches the penalty off (119 against 947 thousandths on one batch).

    Arguments:
        strength: factor of the penalty (the paper's lambda, 2).
        variant: `published`, or `reference` for what the focal-calibration code computes.

    Reference: Kumar, Sarawagi, Jain 2018, eq. 5.

    >>> WeightedMMCELoss()(torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1])) > 5
    tensor(True)
    """

    def __init__(
        self,
        strength: float = 2.0,
        variant: Literal["published", "reference"] = "published",
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["mean", "sum"] = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            strength, weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
        )
        self.variant = _check_variant(variant)

    def penalty(self, probs: LogitRows, target: LogitRows) -> Scalar:
        """Compute MMCE_w."""
        r, c = _top(probs, target)
        kinds = torch.stack([c, 1 - c])  # right, wrong
        f = kinds * torch.stack([1 - r, -r])
        counts = kinds.detach().sum(1)
        if self.variant == "published":
            return _root(laplace_energy((f / counts.clamp(min=1).unsqueeze(1)).sum(0), r))
        # As in the reference: a mean over pairs, divided once more by their number; zero unless both kinds are there.
        pairs = torch.outer(counts, counts).clamp(min=1)
        energy = (laplace_gram(f, r) / (pairs * (pairs + 1e-5))).sum()
        return torch.where((counts > 0).all(), _root(energy), 0.0)


class MDCALoss(BatchLoss):
    """Penalise, for every class, the gap between its mean probability and its frequency in the batch (MDCA).

    L = -mean log p_y + strength * mean_k |mean_i p_ik - mean_i y_ik|.

    Property: zero when class marginals match, which calibration implies (not the other way round).
    Reference: Hebbalaguppe et al. 2022, *A Stitch in Time Saves Nine*, eq. 4.

    >>> MDCALoss()(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        strength: float = 1.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["mean", "sum"] = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            strength, weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
        )

    def penalty(self, probs: Float[Tensor, "n k"], target: Float[Tensor, "n k"]) -> Scalar:
        """Compute the mean absolute gap of the class marginals."""
        return (probs.mean(0) - target.mean(0)).abs().mean()


def _check_variant(variant: Literal["published", "reference"]) -> Literal["published", "reference"]:
    if variant not in ("published", "reference"):
        raise InputError(f"variant must be 'published' or 'reference', got {variant!r}")
    return variant
