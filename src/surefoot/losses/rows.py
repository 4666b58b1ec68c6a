"""Losses that look at the target's probability alone: one kernel for their value and their gradient.

Such a loss is a curve f(l) of l = -log p, and its gradient in the logits is that of cross entropy times one slope
a row: f'(l) (softmax(z) - onehot(y)). Everything that depends on the loss is therefore n-sized, and is done in float64.
The n x k part is one buffer of exponentials in which the target's own entry is replaced by minus the mass of the
others: that mass is summed, never computed as 1 - p, so no digit is lost however confident a row is.
"""

import importlib.util
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import logsigmoid

from surefoot.losses import compiled
from surefoot.losses.curves import FocalCurve, LossCurve
from surefoot.losses.gamma import Steps

_TRITON = importlib.util.find_spec("triton") is not None


def _working_dtype(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def value_and_gradient(
    logits: Tensor, target: Tensor, curve: LossCurve, in_place: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the loss of each row, and its gradient in two parts: a table (n, k) and a factor a row, (n, 1).

    `in_place`: the logits' memory may hold the table afterwards.
    """
    steps = curve.gamma if isinstance(curve, FocalCurve) else None
    if isinstance(steps, Steps) and logits.dtype != torch.float64 and compiled.serves(logits):
        return compiled.focal(logits, target, steps.table, in_place)
    mass, log_p, log_u, over = _spread(logits, target, in_place)
    value, slope = curve(log_p, log_u)
    return value.to(mass.dtype), mass, (slope * over).to(mass.dtype).unsqueeze(1)


def _spread(logits: Tensor, target: Tensor, in_place: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the gradient but for one factor a row, (n, k); then log p, log(1 - p) and that factor at slope 1, (n,).

    The buffer holds the exponentials of the other classes and minus their sum S at the target; the factor is (1 - p)/S.
    """
    # A small batch costs what its operations cost to call: there are as few of them as can be, in place.
    index = target.unsqueeze(1)
    work = logits.to(_working_dtype(logits))
    target_logit = work.gather(1, index).double()
    mass = work.scatter_(1, index, -torch.inf) if in_place else work.scatter(1, index, -torch.inf)
    limits = torch.finfo(mass.dtype)
    peak = mass.amax(1, keepdim=True).clamp_(min=limits.min)
    mass.sub_(peak).exp_()
    # Others whose mass underflows count as the smallest normal number: 1 - p stays positive, and nothing is NaN.
    others = mass.sum(1, keepdim=True).clamp_(min=limits.tiny)
    mass.scatter_(1, index, -others)
    others = others.double()
    odds = ((target_logit - peak) - others.log()).clamp_(max=690.0).squeeze(1)
    log_p, log_u = logsigmoid(odds), logsigmoid(-odds)
    return mass, log_p, log_u, log_u.exp() / others.squeeze(1)


class _HardCurve(Function):
    """Apply a curve to the probability of one class a row."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, curve: LossCurve, one_buffer: bool) -> Tensor:
        value, mass, scale = value_and_gradient(logits, target, curve)
        ctx.curve, ctx.one_buffer = curve, one_buffer
        if one_buffer:
            ctx.mass, ctx.scale, ctx.dtype = mass, scale, logits.dtype
        else:
            ctx.save_for_backward(logits, target, mass, scale)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if ctx.one_buffer:
            if ctx.mass is None:
                raise RuntimeError("a loss made with one_buffer=True allows one backward pass; make it without")
            mass, ctx.mass = ctx.mass, None
            return mass.mul_(ctx.scale * grad.unsqueeze(1)).to(ctx.dtype), None, None, None
        logits, target, mass, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: spell the gradient out, so that it has one itself
            return _hard_gradient(logits, target, grad, ctx.curve), None, None, None
        gradient = mass * (scale * grad.unsqueeze(1))
        return gradient if gradient.dtype == logits.dtype else gradient.to(logits.dtype), None, None, None


class _HardOnGpu(Function):
    """The same by the kernels of `losses.gpu`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, curve: LossCurve) -> Tensor:
        from surefoot.losses import gpu as kernels  # noqa: PLC0415  (an extra)

        logits, target = logits.contiguous(), target.contiguous()
        value, peaks, sums, scale = kernels.forward(logits, target, curve)
        ctx.curve, ctx.kernels = curve, kernels
        ctx.save_for_backward(logits, target, peaks, sums, scale)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        logits, target, peaks, sums, scale = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _hard_gradient(logits, target, grad, ctx.curve), None, None
        return ctx.kernels.backward(logits, target, peaks, sums, scale * grad), None, None


def _hard_gradient(logits: Tensor, target: Tensor, grad: Tensor, curve: LossCurve) -> Tensor:
    """Spell the gradient out in differentiable steps, with the same care for the mass of the others."""
    z, index = logits.double(), target.unsqueeze(1)
    is_target = torch.zeros_like(z, dtype=torch.bool).scatter_(1, index, True)
    target_logit, others = z.gather(1, index), z.masked_fill(is_target, -torch.inf).logsumexp(1, keepdim=True)
    odds = (target_logit - others).clamp(max=690.0)
    log_p, log_u = logsigmoid(odds), logsigmoid(-odds)
    residual = torch.where(is_target, -log_u.exp(), (z - torch.logaddexp(target_logit, others)).exp())
    return (grad.unsqueeze(1) * curve(log_p, log_u)[1] * residual).to(logits.dtype)


class _SoftCurve(Function):
    """Apply a curve to every class and average by a target distribution: sum_k q_k f(-log p_k)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, curve: LossCurve) -> Tensor:
        log_p, log_u = log_p_and_u(logits)
        value, slope = curve(log_p, log_u)
        ctx.curve = curve
        ctx.save_for_backward(logits, target, log_p, log_u, value, slope)
        return weighted(target, value).sum(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        logits, target, log_p, log_u, value, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            log_p, log_u = log_p_and_u(logits.double())
            value, slope = ctx.curve(log_p, log_u)
        pull = weighted(target, slope)
        others = pull.sum(1, keepdim=True) - pull
        wanted = grad.unsqueeze(1) * (log_p.exp() * others - pull * log_u.exp())
        for_target = (grad.unsqueeze(1) * value).to(target.dtype) if ctx.needs_input_grad[1] else None
        return wanted.to(logits.dtype), for_target, None


def weighted(target: Float[Tensor, "n k"], value: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Multiply by a target distribution."""
    # a class with no mass adds nothing, even where its own loss is infinite
    return torch.where(target == 0, 0.0, target * value)


def log_p_and_u(logits: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """Compute log p and log(1 - p) for all classes; only the largest can cancel, and is summed from the others."""
    logits = logits.to(_working_dtype(logits))
    top = logits.argmax(1, keepdim=True)
    shifted = logits - logits.gather(1, top).detach()
    is_top = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, top, True)
    others = shifted.masked_fill(is_top, -torch.inf).logsumexp(1, keepdim=True)
    top_logit = shifted.gather(1, top)  # zero, but its gradient is not
    log_total = top_logit + torch.nn.functional.softplus(others - top_logit)
    log_p = shifted - log_total
    # the double where keeps the gradient finite at the class that the outer one discards
    log_u = torch.log1p(-torch.where(is_top, -1.0, log_p).exp())
    return log_p, torch.where(is_top, others - log_total, log_u)


def on_gpu(logits: Tensor) -> bool:
    """Whether the kernels of `losses.gpu` can work on this tensor."""
    return logits.is_cuda and not torch.compiler.is_compiling() and _TRITON


def hard(
    logits: Float[Tensor, "n k"], target: Int[Tensor, " n"], curve: LossCurve, one_buffer: bool = False
) -> Float[Tensor, " n"]:
    """Compute f(-log p_y) for each row; gradients to second order, or to first in a single buffer."""
    if on_gpu(logits):  # it keeps nothing but the logits, so that one buffer would save nothing
        return _HardOnGpu.apply(logits, target, curve)  # type: ignore[no-any-return]
    return _HardCurve.apply(logits, target, curve, one_buffer)  # type: ignore[no-any-return]


def soft(logits: Float[Tensor, "n k"], target: Float[Tensor, "n k"], curve: LossCurve) -> Float[Tensor, " n"]:
    """Compute sum_k q_k f(-log p_k) for each row, with gradients also for the target distribution."""
    return _SoftCurve.apply(logits, target, curve)  # type: ignore[no-any-return]
