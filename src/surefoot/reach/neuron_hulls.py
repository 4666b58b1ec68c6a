"""Bounds of a dense network with each ReLU in the convex hull of what it does over the box that enters its layer.

Over a box of v, y = relu(w v + b) lies below the plane P v + q for *any* P, if

    q = max(max_v (-P v), b + max_v ((w - P) v)),                                             (1)

for relu is the larger of 0 and its argument, and over a box both maxima are sums. P = r w is the triangle's line; the
facets of the convex hull are others (Anderson et al. 2020; Tjandraatmadja et al. 2020), and cut off what a triangle
cannot, which knows of v only through w v. Where l <= w v + b <= u is narrower than the box says, for any t in [0, 1]

    q = max(-t l, (1 - t) u) + t b + max_v ((t w - P) v)                                      (2)

serves too, with P = t w = r w for the triangle. So a bound may choose all of P, t, the slopes of lines below and the
multipliers of decided signs freely; ascent chooses, and one last rounded pass proves.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.rounding import LOST, UPWARD, magnitude, step_error, sum_error
from surefoot.reach.adam import Adam
from surefoot.reach.dense import DenseNetwork

PLANE_RATE = 0.1  # of a layer's mean weight
RATE = 0.05  # of slopes and shares, in [0, 1]
MULTIPLIER_RATE = 0.05  # of the row's largest coefficient
FADE = 0.99


@dataclass(frozen=True, eq=False)
class HullChoice:
    """What bounds of n subproblems may choose, by hidden layer: (n, m), planes (n, m, p), of m values behind p."""

    slopes: tuple[Float[Tensor, "n _"], ...]  # of lines below, in [0, 1]
    planes: tuple[Float[Tensor, "n _ _"], ...]  # P
    shares: tuple[Float[Tensor, "n _"], ...]  # t, in [0, 1]
    multipliers: tuple[Float[Tensor, "n _"], ...]  # of decided signs, at least 0

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All tensors."""
        return (*self.slopes, *self.planes, *self.shares, *self.multipliers)

    def with_parts(self, parts: "list[Tensor]") -> "HullChoice":
        """Return it with other tensors, in the order of `parts`."""
        k = len(self.slopes)
        return HullChoice(*(tuple(parts[i * k : (i + 1) * k]) for i in range(4)))

    def of(self, which: Tensor) -> "HullChoice":
        """Return that of some subproblems."""
        return self.with_parts([x[which] for x in self.parts])

    @staticmethod
    def stacked(some: "list[HullChoice]") -> "HullChoice":
        """Join those of several subproblems."""
        return some[0].with_parts([torch.cat(x) for x in zip(*(choice.parts for choice in some), strict=True)])


@dataclass(frozen=True, eq=False)
class HullProblem:
    """n rows to be bounded from below, each over its own part of the region.

    What is bounded is rows · (outputs) + constants where low <= x <= high, hidden values are in their boxes, and have
    the signs (1, -1, or 0 where nothing is decided).
    """

    network: DenseNetwork
    rows: Float[Tensor, "n out"]
    constants: Float[Tensor, " n"]
    low: Float[Tensor, "n d"]
    high: Float[Tensor, "n d"]
    lower: Float[Tensor, "n M"]
    upper: Float[Tensor, "n M"]
    signs: Float[Tensor, "n M"]

    def of(self, which: Tensor) -> "HullProblem":
        """Return some of them."""
        names = ("rows", "constants", "low", "high", "lower", "upper", "signs")
        return replace(self, **{name: getattr(self, name)[which] for name in names})

    def box(self, k: int) -> tuple[Tensor, Tensor]:
        """Return the ends of what enters layer k."""
        if k == 0:
            return self.low, self.high
        place = self.network.places[k - 1]
        return self.lower[:, place].clamp(min=0), self.upper[:, place].clamp(min=0)

    def triangles(self) -> HullChoice:
        """Return the choice that is CROWN: triangles, and the slopes of smaller area."""
        slopes, planes, shares, multipliers = [], [], [], []
        for k, place in enumerate(self.network.places):
            low, high = self.lower[:, place], self.upper[:, place]
            rising = torch.where((low < 0) & (high > 0), high / (high - low).clamp(min=1e-300), 0.0)
            slopes.append((high > -low).double())
            planes.append(rising.unsqueeze(2) * self.network.weights[k])
            shares.append(rising)
            multipliers.append(torch.zeros_like(rising))
        return HullChoice(tuple(slopes), tuple(planes), tuple(shares), tuple(multipliers))


def bound_by_hulls(
    problem: HullProblem, choice: HullChoice, rounded: bool = True
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """Bound each row from below, and return the coefficients of the input that say so.

    Property: sound in float64 for any choice, if `rounded`.
    """
    network = problem.network
    weight, bias = network.weights[-1], network.biases[-1]
    a = problem.rows @ weight
    total = problem.rows @ bias + problem.constants
    size = torch.zeros_like(total)
    if rounded:
        last = magnitude(torch.maximum(*(end.abs() for end in problem.box(len(network.places)))))
        rows = magnitude(problem.rows)
        size = ((rows @ magnitude(weight)) * last).sum(1) + rows @ magnitude(bias) + problem.constants.abs()
    for k in reversed(range(len(network.places))):
        a, gained, paid = _through_layer(problem, choice, k, a, rounded)
        total, size = total + gained, size + paid
    low, high = problem.low, problem.high
    total = total + (a.clamp(min=0) * low).sum(1) + (a.clamp(max=0) * high).sum(1)
    if not rounded:
        return total, a
    size = size + (magnitude(a) * magnitude(torch.maximum(low.abs(), high.abs()))).sum(1)
    terms = sum(sum(w.shape) for w in network.weights) + 8 * len(network.weights)  # one after another, at most
    spare = UPWARD * sum_error(terms, size) + step_error(4, total.abs() + size) + LOST
    return torch.nan_to_num(total - spare, nan=-torch.inf, posinf=-torch.inf), a


def _through_layer(
    problem: HullProblem, choice: HullChoice, k: int, a: Tensor, rounded: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Carry coefficients of a layer's activations back to what enters it; what they gain, and sizes for rounding."""
    weight, bias, place = problem.network.weights[k], problem.network.biases[k], problem.network.places[k]
    low, high = problem.lower[:, place], problem.upper[:, place]
    active = low >= 0
    unstable = ~active & (high > 0)
    straight = torch.where(active, a, torch.where(unstable, a.clamp(min=0) * choice.slopes[k], 0.0))
    straight = straight - problem.signs[:, place] * choice.multipliers[k]
    negative = torch.where(unstable, a.clamp(max=0), 0.0)
    planes, share = choice.planes[k], choice.shares[k]
    begin, end = problem.box(k)
    middle, radius = (begin + end) / 2, (end - begin) / 2

    def most(p: Tensor) -> Tensor:
        """Return max p v over the box, p (n, m, p)."""
        return torch.einsum("nmp,np->nm", p, middle) + torch.einsum("nmp,np->nm", p.abs(), radius)

    shared = share.unsqueeze(2) * weight - planes
    hull = torch.maximum(most(-planes), bias + most(weight - planes))
    line = torch.maximum(-share * low, (1 - share) * high) + share * bias + most(shared)
    offset = torch.minimum(hull, line)
    gained = straight @ bias + torch.where(unstable, negative * offset, 0.0).sum(1)
    back = straight @ weight + torch.einsum("nm,nmp->np", negative, planes)
    if not rounded:
        return back, gained, torch.zeros_like(gained)
    given, sizes = magnitude(torch.maximum(begin.abs(), end.abs())), magnitude(bias)
    plane = magnitude(planes) + magnitude(weight - planes) + magnitude(shared) + 2 * magnitude(weight)
    each = 2 * torch.einsum("nmp,np->nm", plane, given) + 2 * sizes + magnitude(low) + magnitude(high)
    sizes = (magnitude(weight) @ given.T).T + sizes
    paid = (magnitude(straight) * sizes).sum(1) + torch.where(unstable, magnitude(negative) * each, 0.0).sum(1)
    return back, gained, paid


def ascend_by_hulls(
    problem: HullProblem, start: HullChoice, steps: int, enough: float = 0.0
) -> tuple[HullChoice, Float[Tensor, " n"]]:
    """Choose by gradient ascent; return the best choice of each row, and its bound without allowance for rounding.

    It ends once all bounds are above `enough`.
    """
    variables = [x.detach().clone().requires_grad_() for x in start.parts]
    best = [x.detach().clone() for x in start.parts]
    now = start.with_parts(variables)
    groups: list[tuple[list[Tensor], float]] = [([*now.slopes, *now.shares], RATE)]
    groups += [
        ([x], PLANE_RATE * float(w.abs().mean())) for x, w in zip(now.planes, problem.network.weights, strict=False)
    ]
    scale = float((problem.rows @ problem.network.weights[-1]).abs().max())
    groups.append(([*now.multipliers], MULTIPLIER_RATE * scale))
    optimiser, factor = Adam(groups), 1.0
    top = torch.full_like(problem.constants, -torch.inf)
    for step in range(steps + 1):
        tick()
        bounds, _ = bound_by_hulls(problem, now, rounded=False)
        with torch.no_grad():
            better = bounds > top
            top = torch.where(better, bounds, top)
            for kept, x in zip(best, variables, strict=True):
                kept[better] = x[better]
            if step == steps or bool((top > enough).all()):
                break
        optimiser.clear()
        (-bounds.sum()).backward()
        optimiser.step(factor)
        factor *= FADE
        with torch.no_grad():
            for x in (*now.slopes, *now.shares):
                x.clamp_(0, 1)
            for x in now.multipliers:
                x.clamp_(min=0)
    return start.with_parts(best), top
