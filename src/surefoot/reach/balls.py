"""A ball of inputs in a bound of CROWN, and the input of a ball and a box that is nearest to a given one.

Inputs with |x - c| <= r have y (x - c) <= r |y|* for any y, |.|* the dual norm (of 2 it is 2, of 1 the maximum). So
y (x - c) - r |y|* may be added to a lower bound for any y: with y = -a it is that of the ball alone, with y = 0 that of
the box.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.spec.input_set import Ball

HALVINGS = 30  # of the interval in which the best multiplier is sought
INSIDE = 1 - 1e-6  # of the radius: most inputs lie inside still when they are rounded; `spec.replay` moves the others


def dual_norm(y: Float[Tensor, "*n d"], norm: int) -> Float[Tensor, "*n"]:
    """Return the norm that bounds y x for |x| <= 1."""
    return y.abs().amax(-1) if norm == 1 else y.norm(dim=-1)


def directions_of_ball(
    a: Float[Tensor, "b s d"], low: Float[Tensor, "#b d"], high: Float[Tensor, "#b d"], ball: Ball
) -> Float[Tensor, "b s d"]:
    """Choose y, (b, s, d), so that the least of (a + y) x - y c - r |y|* over the box is large.

    It is the best for the norm 1, and for 2 but for `HALVINGS`: the multiplier m >= 0 of the ball is that at which the
    least of a x + m (|x - c| - r) over the box is at |x - c| = r. For 1 that is the size of the coefficient at which
    the largest, each moving x to its end of the box, use the radius up; y is a within [-m, m]. For 2 the squares are
    taken, and y is 2 m (x - c). Gradients go through y, for
    2 not through m, which is the best there is.
    """
    centre = torch.as_tensor(ball.centre, dtype=a.dtype)
    room = torch.where(a > 0, (centre - low).unsqueeze(1), (high - centre).unsqueeze(1)).clamp(min=0)
    if ball.norm == 1:
        sizes, order = a.abs().sort(-1, descending=True)
        used = room.gather(-1, order).cumsum(-1)
        full = used >= ball.radius
        at = full.to(torch.int8).argmax(-1, keepdim=True)
        m = torch.where(full.any(-1, keepdim=True), sizes.gather(-1, at), 0.0)
        return -a.clamp(-m, m)
    m = _multiplier_of_2(a.detach().abs(), room, ball.radius)
    return -torch.minimum(torch.maximum(a, -2 * m * room), 2 * m * room)


def _multiplier_of_2(sizes: Tensor, room: Tensor, radius: float) -> Float[Tensor, "b s 1"]:
    """Find m at which steps min(|a| / (2 m), room) have the length of the radius; 0 where the box lies in the ball."""
    most = sizes.norm(dim=-1, keepdim=True) / (2 * max(radius, 1e-30))  # without the box
    least = torch.zeros_like(most)
    inside = torch.where(sizes > 0, room, 0.0).norm(dim=-1, keepdim=True) <= radius
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        steps = torch.minimum(sizes / (2 * middle).clamp(min=torch.finfo(sizes.dtype).tiny), room)
        longer = steps.norm(dim=-1, keepdim=True) > radius
        least, most = torch.where(longer, middle, least), torch.where(longer, most, middle)
    return torch.where(inside, 0.0, most)


def projected(x: Float[Tensor, "n d"], ball: Ball) -> Float[Tensor, "n d"]:
    """Return the inputs nearest to the given ones, in the ordinary distance, that lie in a ball, a little inside.

    Reference: Duchi et al. 2008, for the norm 1.
    """
    centre, radius = torch.as_tensor(ball.centre, dtype=x.dtype), ball.radius * INSIDE
    step = x - centre
    if ball.norm == 2:
        length = step.norm(dim=1, keepdim=True)
        return centre + step * (radius / length.clamp(min=torch.finfo(x.dtype).tiny)).clamp(max=1)
    sizes = step.abs().sort(1, descending=True).values
    excess = (sizes.cumsum(1) - radius) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
    count = (sizes > excess).sum(1, keepdim=True).clamp(min=1)
    cut = excess.gather(1, count - 1).clamp(min=0)
    return centre + step.sign() * (step.abs() - cut).clamp(min=0)
