"""Look for a counterexample: projected gradient descent, and DeepFool for the direction of an attack."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, evaluate
from surefoot.reach.balls import projected
from surefoot.reach.ibp import size_of
from surefoot.reach.input_constraints import moved_inside
from surefoot.spec.input_set import Ball, LinearConstraints
from surefoot.spec.query import Query

MOST_VALUES = 2**26  # of all nodes for all inputs that are tried at once


class Slack:
    """How far outputs are from each unsafe set of a query, as tensors that can be differentiated."""

    def __init__(self, query: Query, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
        self.weights = [torch.as_tensor(u.weights, dtype=dtype, device=device) for u in query.unsafe]
        self.bounds = [torch.as_tensor(u.bounds, dtype=dtype, device=device) for u in query.unsafe]

    def __call__(self, y: Tensor) -> Tensor:
        """Return (n, unsafe sets): the largest of weights y - bounds of each."""
        return torch.stack(
            [
                (y @ w.T - b).max(1).values if len(b) else y.new_full((len(y),), -torch.inf)
                for w, b in zip(self.weights, self.bounds, strict=True)
            ],
            1,
        )


def descend(
    graph: Graph, query: Query, restarts: int = 8, steps: int = 20, seed: int = 0
) -> Float[Tensor, " restarts *shape"]:
    """Return the inputs (restarts, d) that projected gradient descent came closest to what is unsafe with.

    Each restart aims at every unsafe set in turn, or at those nearest to the middle if a large network has many; the
    first starts in the middle, the others anywhere. The graph's type is that of the search. Nothing is claimed: whoever
    asks replays them.

    What leaves a ball or linear constraints is projected back; in a ball steps are along the gradient.

    Reference: Madry et al. 2018, with steps that shrink.
    """
    dtype = _dtype(graph)
    low, high = (torch.as_tensor(b, dtype=dtype) for b in (query.inputs.lower, query.inputs.upper))
    slack = Slack(query, dtype)
    middle, aims = (low + high) / 2, torch.arange(len(slack.bounds))
    fit = max(MOST_VALUES // (restarts * sum(size_of(node) for node in graph.nodes)), 1)
    if fit < len(aims):
        with torch.no_grad():
            aims = slack(evaluate(graph, middle.reshape(1, *graph.input_shape)).flatten(1))[0].argsort()[:fit]
    generator = torch.Generator().manual_seed(seed)
    x = low + torch.rand(restarts, len(aims), len(low), dtype=dtype, generator=generator) * (high - low)
    x[0] = middle
    aim = aims.repeat(restarts).unsqueeze(1)
    x = _kept(x.reshape(-1, len(low)), query)
    best, least = x.clone(), torch.full((len(x),), torch.inf, dtype=dtype)
    for step in range(steps + 1):
        tick()
        x.requires_grad_(True)
        y = evaluate(graph, x.reshape(-1, *graph.input_shape)).flatten(1)
        distances = slack(y)
        aimed = distances.gather(1, aim).squeeze(1)
        with torch.no_grad():
            nearest = distances.min(1).values
            better = nearest < least
            best[better], least[better] = x[better], nearest[better]
        if step == steps or bool((least <= 0).any()):
            break
        (slope,) = torch.autograd.grad(aimed.sum(), x)
        size = 0.5 * (1 - step / steps) ** 1.5 + 0.01
        x = _kept((x.detach() - size * _step(slope, low, high, query)).clamp(low, high), query)
    order = least.argsort()
    return best[order][:restarts].detach()


def _step(slope: Tensor, low: Tensor, high: Tensor, query: Query) -> Tensor:
    """Return the step of size 1: all of the box in its signs, or all of the ball along it."""
    ball = query.inputs.ball
    if ball is None:
        return (high - low) * slope.sign()
    return 2 * ball.radius * slope / slope.norm(dim=1, keepdim=True).clamp(min=torch.finfo(slope.dtype).tiny)


def _kept(x: Tensor, query: Query) -> Tensor:
    """Return inputs near to these in the ball, or within the linear constraints, if there are any."""
    match query.inputs.limits:
        case Ball() as ball:
            return projected(x, ball)
        case LinearConstraints() as constraints:
            low, high = (torch.as_tensor(end, dtype=x.dtype) for end in (query.inputs.lower, query.inputs.upper))
            return moved_inside(x, low, high, constraints)
    return x


def approach(
    graph: Graph, low: Float[Tensor, "n d"], high: Float[Tensor, "n d"], slack: Callable[[Tensor], Tensor], steps: int
) -> Float[Tensor, "n d"]:
    """Return of each of many boxes (n, d) an input (n, d) near to what is unsafe, from the middle by so many steps.

    `slack` says how far outputs (n, k) are from it, (n,).
    """
    x = best = (low + high) / 2
    least = low.new_full((len(low),), torch.inf)
    for step in range(steps + 1):
        tick()
        x = x.detach().requires_grad_(True)
        nearest = slack(evaluate(graph, x.reshape(-1, *graph.input_shape)).flatten(1))
        better = nearest.detach() < least
        best = torch.where(better.unsqueeze(1), x.detach(), best)
        least = torch.where(better, nearest.detach(), least)
        if step == steps or not nearest.requires_grad:
            break
        (slope,) = torch.autograd.grad(nearest.sum(), x)
        x = (x.detach() - 0.5 * (1 - step / steps) * (high - low) * slope.sign()).clamp(low, high)
    return best


def sample(
    graph: Graph, query: Query, count: int, seed: int = 0, seconds: float | Deadline = NEVER
) -> tuple[Tensor, int]:
    """Return the few of so many inputs (4, d) of the box that are nearest to what is unsafe, and how many were tried.

    When the time is up, of those that were.

    Each value is at either end with chance 1/5, for there the extremes of networks of few inputs often are.
    """
    dtype = _dtype(graph)
    low, high = (torch.as_tensor(b, dtype=dtype) for b in (query.inputs.lower, query.inputs.upper))
    slack = Slack(query, dtype)
    generator = torch.Generator().manual_seed(seed)
    until, tried, size = Deadline.of(seconds), 0, 500
    best, least = low.new_zeros(0, len(low)), low.new_zeros(0)
    while tried < count and (not tried or not until.is_over()):
        tick()
        x = torch.rand(min(size, count - tried), len(low), dtype=dtype, generator=generator)
        x = _kept(low + ((x - 0.2) / 0.6).clamp(0, 1) * (high - low), query)
        with torch.no_grad():
            distances = slack(evaluate(graph, x.reshape(-1, *graph.input_shape)).flatten(1)).min(1).values
        best, least = torch.cat([best, x]), torch.cat([least, distances])
        nearest = least.argsort()[:4]
        best, least = best[nearest], least[nearest]
        tried += len(x)
        size = min(2 * size, 20_000)
    return _kept(best.clamp(low, high), query), tried


def _dtype(graph: Graph) -> torch.dtype:
    return next((v.dtype for n in graph.nodes for v in vars(n.op).values() if _floating(v)), torch.float32)


def _floating(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def deep_fool(graph: Graph, image: Tensor, steps: int = 50, overshoot: float = 0.02) -> Tensor:
    """Return the nearest image of another class that linear steps find: the end of an attack line.

    At each step r = |f_k| / ||w_k||² w_k, with f_k and w_k the difference of logits to the nearest class k, and its
    gradient.

    Raises:
        InputError: no other class was reached.

    Reference: Moosavi-Dezfooli et al. 2016, algorithm 2.
    """
    x = image.detach().clone().unsqueeze(0)
    label = int(evaluate(graph, x).argmax())
    moved = torch.zeros_like(x)
    for _ in range(steps):
        at = (x + (1 + overshoot) * moved).requires_grad_(True)
        y = evaluate(graph, at)[0]
        if int(y.argmax()) != label:
            return at.detach()[0]
        differences = y - y[label]
        slopes = torch.stack(
            [torch.autograd.grad(d, at, retain_graph=True)[0] for i, d in enumerate(differences) if i != label]
        ).flatten(1)
        gaps = torch.cat([differences[:label], differences[label + 1 :]]).detach().abs()
        norms = slopes.norm(dim=1).clamp(min=1e-12)
        k = int((gaps / norms).argmin())
        moved = moved + ((gaps[k] + 1e-6) / norms[k] ** 2 * slopes[k]).reshape(x.shape)
    raise InputError(f"DeepFool met no class but {label} in {steps} steps")
