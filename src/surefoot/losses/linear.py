"""A loss and the linear map before it in one: over a large vocabulary the logits never exist all at once."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from surefoot.core.errors import InputError
from surefoot.losses.base import PointwiseLoss
from surefoot.losses.curves import CROSS_ENTROPY, LossCurve
from surefoot.losses.proper import CrossEntropy
from surefoot.losses.rows import value_and_gradient

CHUNK = 1 << 24  # logits at a time, at most, but for LEAST rows
PARTS = 4  # of the rows, at least: each part reads and writes the whole gradient of the weight
LEAST = 64  # rows: smaller matrices are slow to multiply


class LinearLoss(nn.Module):
    """loss(hidden W' + b, target), for a language model's last layer: chunk by chunk, gradients in the forward pass.

    hidden (..., d), W (k, d), b (k,) or None, target (...) of class indices. The slope of the loss in -log p is known
    where a chunk's logits are, so their gradient is multiplied into hidden and W at once: three matrix products, as
    many as cross entropy needs, and no (n, k) table. Memory: gradients, and one chunk.

    Arguments:
        loss: `CrossEntropy`, `FocalLoss`, or another of this package with a `curve`, with reduction mean or sum. Its
            `ignore_index` and class weights hold; of label smoothing there is none.
        rows: rows at a time; default: a quarter of them, at most 16 million logits, at least 64 rows.

    Property: the same value and gradients as the two steps apart, to rounding. One backward pass.

    Raises:
        InputError: another loss, shapes that do not fit, or a class out of range.

    Reference: the gradient of Mukhoti et al. 2020's losses is a multiple, row by row, of that of cross entropy.

    >>> from surefoot.losses import FocalLoss
    >>> hidden, weight = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> LinearLoss(FocalLoss(gamma=3.0))(hidden, weight, torch.tensor([0, 2]))
    tensor(0.3800)
    """

    def __init__(self, loss: PointwiseLoss | None = None, rows: int | None = None) -> None:
        super().__init__()
        self.loss = CrossEntropy() if loss is None else loss
        if not (isinstance(self.loss, CrossEntropy) or hasattr(self.loss, "curve")):
            raise InputError(f"{type(self.loss).__name__} is not a curve of the target's probability")
        if self.loss.reduction not in ("mean", "sum") or self.loss.label_smoothing:
            raise InputError("a fused loss needs reduction mean or sum, and no label smoothing")
        if rows is not None and rows < 1:
            raise InputError(f"rows must be at least 1, got {rows}")
        self.rows = rows

    def forward(self, hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None = None) -> Tensor:
        """Compute the loss."""
        k, d = _checked(hidden, weight, target, bias)
        classes = target.reshape(-1).long()
        kept = classes != self.loss.ignore_index
        if classes.numel() and classes.device.type == "cpu":
            outside = kept & ((classes < 0) | (classes >= k))
            if bool(outside.any()):
                row = int(outside.nonzero()[0])
                raise InputError(f"target {row} is class {int(classes[row])}, outside 0 to {k - 1}")
        index = torch.where(kept, classes, 0)
        share = kept.to(torch.float32)
        if self.loss.weight is not None:
            share = share * self.loss.weight[index]
        if self.loss.reduction == "mean":
            total = share.sum()
            share = share / torch.where(total == 0, 1.0, total)
        curve: LossCurve = getattr(self.loss, "curve", CROSS_ENTROPY)
        rows = self.rows or max(LEAST, min(CHUNK // k, -(-len(classes) // PARTS)))
        return _Fused.apply(hidden.reshape(-1, d), weight, bias, index, share, curve, rows)  # type: ignore[no-any-return]


def _checked(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None) -> tuple[int, int]:
    if weight.ndim != 2 or hidden.shape[-1:] != weight.shape[1:] or weight.shape[0] < 2:
        raise InputError(f"hidden {tuple(hidden.shape)} does not fit a weight of shape {tuple(weight.shape)} (k, d)")
    if target.shape != hidden.shape[:-1] or target.is_floating_point():
        raise InputError(
            f"hidden {tuple(hidden.shape)} needs class indices of shape {tuple(hidden.shape[:-1])}, got {target.dtype} "
            f"{tuple(target.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"a bias of shape {tuple(bias.shape)} does not fit {weight.shape[0]} classes")
    return weight.shape[0], weight.shape[1]


class _Fused(Function):
    """Loss and gradients of a linear map and a curve, a chunk of rows at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        share: Tensor,
        curve: LossCurve,
        rows: int,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[:3]
        for_hidden = torch.empty_like(hidden) if wanted[0] else None
        for_weight = torch.zeros_like(weight) if wanted[1] else None
        for_bias = torch.zeros_like(bias) if bias is not None and wanted[2] else None
        total = hidden.new_zeros((), dtype=torch.float64 if hidden.dtype == torch.float64 else torch.float32)
        for start in range(0, len(hidden), rows):
            chunk = slice(start, start + rows)
            h = hidden[chunk]
            logits = h @ weight.T if bias is None else torch.addmm(bias, h, weight.T)
            value, mass, scale = value_and_gradient(logits, target[chunk], curve, in_place=True)
            weights = share[chunk].to(value.dtype)
            total += torch.where(weights == 0, 0.0, value * weights).sum()
            if not any(wanted):
                continue
            # an ignored row adds nothing, even where its gradient is not a number
            scale = torch.where(weights.unsqueeze(1) == 0, 0.0, scale * weights.unsqueeze(1).to(scale.dtype))
            gradient = mass.mul_(scale).to(logits.dtype)
            if for_hidden is not None:
                torch.mm(gradient, weight, out=for_hidden[chunk])
            if for_weight is not None:
                for_weight.addmm_(gradient.T, h)
            if for_bias is not None:
                for_bias += gradient.sum(0)
            del logits, mass, gradient  # before the next chunk takes as much
        ctx.gradients = (for_hidden, for_weight, for_bias)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if ctx.gradients is None:
            raise RuntimeError("a fused loss allows one backward pass")
        gradients, ctx.gradients = ctx.gradients, None
        scaled = [x if x is None else x.mul_(grad.to(x.dtype)) for x in gradients]
        return (*scaled, None, None, None, None)
