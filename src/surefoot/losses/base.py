"""What every loss is: a drop-in for `torch.nn.CrossEntropyLoss`."""

import math
from abc import ABC, abstractmethod
from typing import Literal, Protocol, TypeAlias, final, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surefoot.core.errors import InputError
from surefoot.losses.types import LogitRows, PerSample, SoftTargets, Targets

Reduction: TypeAlias = Literal["mean", "sum", "none"]


class Loss(nn.Module, ABC):
    """A training loss of logits and targets, called like `torch.nn.CrossEntropyLoss`."""

    @abstractmethod
    def forward(self, logits: Tensor, target: Tensor) -> Float[Tensor, "..."]:
        """Compute the loss; `logits` is (n, k) or (n, k, ...), `target` class indices (n, ...) or soft, as logits."""


@runtime_checkable
class FollowsEpochs(Protocol):
    """A loss that changes with training time."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Take note that epoch number `epoch` (from 0) of `epochs` begins."""
        ...


@runtime_checkable
class LearnsFromValidation(Protocol):
    """A loss that changes with the validation set's calibration."""

    def observe_validation(self, confidence: Tensor, correct: Tensor) -> None:
        """Take note of top-1 confidences and correctness (both (n,)) on held-out data after an epoch."""
        ...


def check_reduction(reduction: str, allowed: tuple[str, ...] = get_args(Reduction)) -> None:
    """Refuse a reduction that the loss does not have."""
    if reduction not in allowed:
        raise InputError(f"reduction must be one of {', '.join(allowed)}, got {reduction!r}")


def check_number(name: str, value: float, low: float = 0.0, high: float = float("inf")) -> float:
    """Return a setting as a float, or say that it is not a finite number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value == math.inf:
        raise InputError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


class PointwiseLoss(Loss, ABC):
    """A loss that is a mean over samples. Reduction, weights, `ignore_index`, soft targets: written once, here.

    Arguments (those of `torch.nn.CrossEntropyLoss`, with the same meaning):
        weight: one factor a class, `(k,)`. Note that class weights change what the network's confidence means.
        ignore_index: rows with this target add nothing, neither to the sum nor to the number of rows.
        reduction: `mean` (over kept rows, weighted), `sum` or `none`.
        label_smoothing: eps; the target becomes 1 - eps + eps/k on its class and eps/k elsewhere.

    A soft target q (mixup, cutmix, distillation) gives sum_k q_k loss(z, k). A batch with no row to count gives a mean
    of 0 with zero gradient, where PyTorch gives NaN. Low-precision logits are computed, and returned, in float32.

    Raises:
        InputError: shapes or dtypes that do not fit, or (on the CPU, where looking is free) a class out of range.
    """

    weight: Tensor | None

    def __init__(
        self,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = check_number("label_smoothing", label_smoothing, high=1.0)

    @abstractmethod
    def per_sample(self, logits: LogitRows, target: Targets) -> PerSample:
        """Compute the loss of each row for its class index."""

    @abstractmethod
    def per_sample_soft(self, logits: LogitRows, target: SoftTargets) -> PerSample:
        """Compute sum_k q_k loss(z, k) for each row; q may be unnormalised (class weights are folded into it)."""

    @final
    def forward(self, logits: Tensor, target: Tensor) -> Float[Tensor, "..."]:
        """Compute the reduced loss; see the class for what is accepted."""
        rows, targets, outer, all_kept = flatten(logits, target, self.ignore_index)
        weight = self.weight
        if weight is None and all_kept and not self.label_smoothing and not targets.is_floating_point():
            losses, mass = self.per_sample(rows, targets), None  # the common case, in as few steps as can be
        else:
            losses, mass = self._general(rows, targets, weight)
        if self.reduction == "mean":
            return losses.mean() if mass is None else losses.sum() / torch.where(mass == 0, 1, mass)
        return losses.sum() if self.reduction == "sum" else losses.reshape(outer)

    def _general(self, rows: LogitRows, target: Tensor, weight: Tensor | None) -> tuple[PerSample, Tensor | None]:
        """Compute the losses with weights, smoothing, soft targets and ignored rows, and what their mean divides by."""
        if weight is not None and weight.shape != rows.shape[1:]:
            raise InputError(f"weight has shape {tuple(weight.shape)}, but the logits have {rows.shape[1]} classes")
        if not target.is_floating_point():
            return self._weighted_hard(rows, target)
        eps = self.label_smoothing
        smoothed = target * (1 - eps) + eps / rows.shape[1] if eps else target
        losses = self.per_sample_soft(rows, smoothed if weight is None else smoothed * weight)
        return losses, torch.tensor(len(rows), device=rows.device)

    def _weighted_hard(self, rows: LogitRows, target: Targets) -> tuple[PerSample, Tensor]:
        """Apply label smoothing and class weights as PyTorch does; also return what the mean divides by."""
        kept = target != self.ignore_index
        index = torch.where(kept, target, 0)
        weight = torch.ones(rows.shape[1], device=rows.device) if self.weight is None else self.weight
        if self.label_smoothing:
            eps, k = self.label_smoothing, rows.shape[1]
            q = torch.full_like(rows, eps / k).scatter_(1, index.unsqueeze(1), 1 - eps + eps / k)
            losses = self.per_sample_soft(rows, q * weight)
        else:
            losses = self.per_sample(rows, index) * weight[index]
        return torch.where(kept, losses, 0.0), torch.where(kept, weight[index], 0.0).sum()


def flatten(logits: Tensor, target: Tensor, ignore_index: int) -> tuple[LogitRows, Tensor, torch.Size, bool]:
    """Bring (k,), (n, k) or (n, k, ...) logits and their targets to rows.

    Also return the shape of one loss a sample, and whether it is known, without waiting for a device, that no row is
    to be ignored.

    Raises:
        InputError: shapes or dtypes do not fit, fewer than two classes, or a class out of range (seen on the CPU only).
    """
    if not logits.is_floating_point():
        raise InputError(f"logits must be floating point, got {logits.dtype}")
    if logits.ndim == 0 or (k := logits.shape[min(logits.ndim - 1, 1)]) < 2:
        raise InputError(
            f"logits must have shape (n, k) or (n, k, ...) with at least two classes, got {tuple(logits.shape)}"
        )
    outer = logits.shape[:1] + logits.shape[2:] if logits.ndim > 1 else torch.Size([])
    rows = _as_rows(logits, k)
    if target.is_floating_point():
        if target.shape != logits.shape:
            raise InputError(
                f"soft targets must have the shape of the logits, {tuple(logits.shape)}, got {tuple(target.shape)}; "
                f"class indices must be integers, shape {tuple(outer)}"
            )
        return rows, _as_rows(target, k), outer, True
    if target.shape != outer:
        raise InputError(
            f"class indices for logits of shape {tuple(logits.shape)} must have shape {tuple(outer)}, "
            f"got {tuple(target.shape)}"
        )
    target = target.reshape(-1).long()
    all_kept = False
    if target.device.type == "cpu" and target.numel():
        low, high = (int(x) for x in torch.aminmax(target))
        if low < 0 or high >= k:
            _refuse_class(target, k, ignore_index)
        all_kept = not low <= ignore_index <= high
    return rows, target, outer, all_kept


def _as_rows(x: Tensor, k: int) -> Float[Tensor, "n k"]:
    return x if x.ndim == 2 else x.movedim(min(x.ndim - 1, 1), -1).reshape(-1, k)


def _refuse_class(target: Tensor, k: int, ignore_index: int) -> None:
    outside = ((target < 0) | (target >= k)) & (target != ignore_index)
    if outside.any():
        row = int(outside.nonzero()[0])
        raise InputError(f"target {row} is class {int(target[row])}, outside 0 to {k - 1}; ignore_index={ignore_index}")
