"""Losses of the target's probability on a GPU: the logits are read twice and their gradient is written once.

Eager cross entropy passes over an n x k table six times or more. Here one kernel reads a row and leaves what its loss
and its gradient need, three numbers; a second one, in the backward pass, reads the row again and writes its gradient.
Nothing of size n x k is kept but the logits themselves.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from surefoot.losses.curves import FocalCurve, LossCurve
from surefoot.losses.gamma import Steps

BLOCK = 4096  # columns a program holds at a time


@triton.jit
def _summed(
    logits, target, peaks, sums, odds, k,
    lowest: tl.constexpr, tiny: tl.constexpr, block: tl.constexpr, work: tl.constexpr,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Leave each row's largest other logit, the sum S of the others' exponentials over its, and log p / (1 - p)."""
    row = tl.program_id(0).to(tl.int64)
    start = logits + row * k
    own_class = tl.load(target + row)
    peak = tl.full((), lowest, work)
    total = tl.full((), 0.0, work)
    for first in range(0, k, block):
        column = first + tl.arange(0, block)
        z = tl.load(start + column, mask=(column < k) & (column != own_class), other=float("-inf")).to(work)
        above = tl.maximum(peak, tl.max(z, 0))
        total = total * tl.exp(peak - above) + tl.sum(tl.exp(z - above), 0)
        peak = above
    total = tl.where(total < tiny, tiny, total)  # all others are -inf, or as good as that; not a number stays so
    target_logit = tl.load(start + own_class).to(tl.float64)
    tl.store(peaks + row, peak)
    tl.store(sums + row, total)
    tl.store(odds + row, target_logit - peak.to(tl.float64) - tl.log(total.to(tl.float64)))


@triton.jit
def _focal(odds, sums, table, value, scale, n, steps: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Give focal loss of n rows, and the factor of their gradients, by a table of edges, gammas and offsets."""
    row = tl.program_id(0) * block + tl.arange(0, block)
    inside = row < n
    o = tl.load(odds + row, mask=inside, other=0.0)
    o = tl.where(o > 690.0, 690.0, o)
    others = tl.load(sums + row, mask=inside, other=1.0).to(tl.float64)
    least = tl.exp(-tl.abs(o))
    one = 1.0 + least  # log(1 + t) without loss (Kahan): t where 1 + t is 1
    rest = tl.where(one == 1.0, least, tl.log(one) * (least / tl.where(one == 1.0, 1.0, one - 1.0)))
    loss = tl.where(o < 0.0, -o, 0.0) + rest
    log_u = tl.where(o > 0.0, -o, 0.0) - rest
    u = tl.where(o > 0.0, least, 1.0) / one
    p_over_u = tl.where(o > 0.0, 1.0 / least, least)
    none = tl.zeros_like(o)
    gamma = none + tl.load(table + 2 * steps - 1)
    offset = none + tl.load(table + 3 * steps - 1)
    for back in tl.static_range(1, steps):  # type: ignore[attr-defined]  (unrolled by the compiler)
        i = steps - 1 - back
        below = -loss < tl.load(table + i)
        gamma = tl.where(below, tl.load(table + steps + i), gamma)
        offset = tl.where(below, tl.load(table + 2 * steps + i), offset)
    damping = tl.where(gamma == 0.0, 1.0, tl.exp(gamma * log_u))
    slope = damping * tl.where(gamma == 0.0, 1.0, 1.0 + gamma * p_over_u * loss)
    tl.store(value + row, damping * loss + offset, mask=inside)
    tl.store(scale + row, slope * u / others, mask=inside)


@triton.jit
def _spread(logits, target, peaks, sums, factor, gradient, k, block: tl.constexpr, work: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write factor * exp(z - peak) for the others of a row, and minus their sum at its own class."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    z = tl.load(logits + row * k + column, mask=column < k, other=0.0).to(work)
    is_target = column == tl.load(target + row)
    mass = tl.where(is_target, -tl.load(sums + row), tl.exp(z - tl.load(peaks + row)))
    tl.store(gradient + row * k + column, mass * tl.load(factor + row), mask=column < k)


def forward(logits: Tensor, target: Tensor, curve: LossCurve) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of each row its loss, its largest other logit, its sum S of the others, and its gradient's factor.

    `logits` (n, k) and `target` (n,) are contiguous. A target that is no class stops the device, as in PyTorch.
    """
    n, k = logits.shape
    torch.ops.aten._assert_async.msg(((target >= 0) & (target < k)).all(), "a target is no class")
    work = torch.float64 if logits.dtype == torch.float64 else torch.float32
    peaks, sums = (torch.empty(n, dtype=work, device=logits.device) for _ in range(2))
    odds = torch.empty(n, dtype=torch.float64, device=logits.device)
    if n:
        limits = torch.finfo(work)
        _run(
            _summed, (n,), logits, target, peaks, sums, odds, k,
            lowest=limits.min, tiny=limits.tiny, block=_block(k), work=_TYPES[work],
        )  # fmt: skip
    value, scale = _valued(curve, odds, sums)
    return value, peaks, sums, scale


def backward(logits: Tensor, target: Tensor, peaks: Tensor, sums: Tensor, factor: Tensor) -> Tensor:
    """Return the gradient (n, k): factor exp(z - peak) for the others, - factor S at a row's own class."""
    (n, k), block = logits.shape, _block(logits.shape[1])
    gradient = torch.empty_like(logits)
    if n:
        work = _TYPES[sums.dtype]
        _run(
            _spread, (n, triton.cdiv(k, block)), logits, target, peaks, sums, factor.contiguous(), gradient, k,
            block=block, work=work,
        )  # fmt: skip
    return gradient


def _run(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    kernel[grid](*arguments, **constants)


_TYPES = {torch.float32: tl.float32, torch.float64: tl.float64}


def _block(k: int) -> int:
    return min(BLOCK, triton.next_power_of_2(k))


def _valued(curve: LossCurve, odds: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's loss, and the factor of its gradient."""
    steps = curve.gamma if isinstance(curve, FocalCurve) else None
    if isinstance(steps, Steps):
        table = torch.from_numpy(steps.table).to(odds.device, non_blocking=True)
        value, scale = torch.empty_like(sums), torch.empty_like(sums)
        if n := len(odds):
            _run(_focal, (triton.cdiv(n, 128),), odds, sums, table, value, scale, n, steps=len(steps.gammas), block=128)
        return value, scale
    log_p = torch.nn.functional.logsigmoid(odds.clamp(max=690.0))
    log_u = torch.nn.functional.logsigmoid(-odds.clamp(max=690.0))
    value, slope = curve(log_p, log_u)
    return value.to(sums.dtype), (slope * log_u.exp() / sums).to(sums.dtype)
