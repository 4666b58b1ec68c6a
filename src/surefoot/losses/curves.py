"""Losses as curves of the target's probability: (log p, log(1 - p)) to the loss and its slope in -log p.

A curve is elementwise, differentiable, and takes any shape; rows are float64, whole tables the logits' own dtype.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from surefoot.losses.gamma import Exponent, GammaRule, Steps

LossCurve: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_TINY = torch.finfo(torch.float32).tiny


def focal_curve(log_p: Tensor, log_u: Tensor, gamma: Exponent) -> tuple[Tensor, Tensor]:
    """Compute u^gamma l and its slope in l, u^gamma (1 + gamma p l / u), for l = -log p and u = 1 - p."""
    surprise = -log_p
    if isinstance(gamma, float) and gamma == 0.0:
        return surprise, torch.ones_like(log_p)
    damping = (log_u * gamma).exp()
    value = damping * surprise
    if log_p.dtype == torch.float64:  # rows: odds are at most e^690, so that p l / u does not overflow
        ratio = (log_p - log_u).exp() * value
    else:  # the same as l / (e^l - 1), which is 1 at l = 0
        ratio = (surprise + _TINY) / (surprise.expm1() + _TINY) * damping
    return value, torch.add(damping, ratio, alpha=gamma) if isinstance(gamma, float) else damping + gamma * ratio


def inverse_focal_curve(log_p: Tensor, log_u: Tensor, gamma: Exponent) -> tuple[Tensor, Tensor]:
    """Compute (1 + p)^gamma l and its slope in l, (1 + p)^gamma (1 - gamma p l / (1 + p))."""
    p = log_p.exp()
    weight = (1 + p) ** gamma
    return weight * -log_p, weight * (1 - gamma * p * -log_p / (1 + p))


@dataclass(frozen=True)
class FocalCurve:
    """The focal loss for a rule that gives gamma. Gamma is a constant in the slope, as in the paper.

    A value that says what it computes, not only a function: `rows` hands a rule in steps to the compiled loop.
    """

    gamma: GammaRule

    def __call__(self, log_p: Tensor, log_u: Tensor) -> tuple[Tensor, Tensor]:
        """Compute loss and slope at log p."""
        gamma, offset = self.gamma(log_p.detach())
        value, slope = focal_curve(log_p, log_u, gamma)
        return (value if isinstance(offset, float) else value + offset), slope


CROSS_ENTROPY = FocalCurve(Steps((), (0.0,), (0.0,)))
