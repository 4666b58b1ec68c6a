"""How strongly focal loss looks away from what is already right: gamma as a value.

A policy gives, at each moment of training, a rule from the target's probability p to an exponent. Gamma is a constant
in the backward pass, as in the paper; the offset is what must be added so that the loss stays continuous where gamma
jumps.
"""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.core.errors import InputError

Exponent: TypeAlias = float | Tensor


# log p -> gamma, and what to add to the loss; numbers where they are the same for every p
GammaRule: TypeAlias = Callable[[Tensor], tuple[Exponent, Exponent]]


class GammaPolicy(ABC):
    """How gamma depends on the target's probability and on the progress of training."""

    @abstractmethod
    def at(self, progress: float) -> GammaRule:
        """Return the rule for a moment of training: `progress` is the fraction done, 0 to 1."""


@dataclass(frozen=True)
class Steps:
    """A rule in steps: `gammas[i]` for log p from `edges[i - 1]` up to `edges[i]`, where `offsets[i]` is added."""

    edges: tuple[float, ...]
    gammas: tuple[float, ...]
    offsets: tuple[float, ...]

    def __call__(self, log_p: Tensor) -> tuple[Exponent, Exponent]:
        """Look gamma and offset up; log p equal to an edge takes the gamma above it."""
        gamma: Exponent = self.gammas[-1]
        offset: Exponent = self.offsets[-1]
        for i in reversed(range(len(self.edges))):  # from above: below each edge, one step more
            below = (log_p < self.edges[i]).to(log_p.dtype)
            gamma = below * (self.gammas[i] - self.gammas[i + 1]) + gamma
            offset = below * (self.offsets[i] - self.offsets[i + 1]) + offset
        return gamma, offset

    @functools.cached_property
    def table(self) -> np.ndarray:
        """Edges (the last one infinite), gammas and offsets as the compiled loop reads them, (3, steps)."""
        return np.array([(*self.edges, math.inf), self.gammas, self.offsets], dtype=np.float64)


def _check_gammas(*gammas: float) -> None:
    for gamma in gammas:
        if not (isinstance(gamma, int | float) and math.isfinite(gamma) and gamma >= 0):
            raise InputError(f"gamma must be a finite number of at least 0, got {gamma!r}")


@dataclass(frozen=True)
class Fixed(GammaPolicy):
    """Use one gamma for everybody, always (FL-gamma)."""

    value: float

    def __post_init__(self) -> None:
        """Refuse what is not an exponent."""
        _check_gammas(self.value)

    def at(self, progress: float) -> Steps:
        """Return the one gamma."""
        return Steps((), (float(self.value),), (0.0,))


@dataclass(frozen=True)
class Scheduled(GammaPolicy):
    """Use one gamma for everybody, by epoch (FLSc-531): `gammas[i]` from the fraction `starts[i]` of training on.

    Reference: Mukhoti et al. 2020, section 5; the switches at epochs 100 and 250 of 350 are those of the paper's code.
    """

    gammas: tuple[float, ...] = (5.0, 3.0, 1.0)
    starts: tuple[float, ...] = (0.0, 100 / 350, 250 / 350)

    def __post_init__(self) -> None:
        """Refuse a schedule that is not one."""
        _check_gammas(*self.gammas)
        if len(self.gammas) != len(self.starts) or not self.starts or self.starts[0] != 0.0:
            raise InputError(f"a schedule needs one start a gamma, the first 0; got {self.starts} for {self.gammas}")
        if list(self.starts) != sorted(set(self.starts)):
            raise InputError(f"the starts of a schedule must increase, got {self.starts}")

    def at(self, progress: float) -> Steps:
        """Return the gamma whose time it is; at any one time nothing jumps in p."""
        reached = [g for g, start in zip(self.gammas, self.starts, strict=True) if progress >= start - 1e-9]
        return Steps((), (float(reached[-1]),), (0.0,))


@dataclass(frozen=True)
class ByConfidence(GammaPolicy):
    """Use `gammas[i]` for p below `thresholds[i]`, the last gamma above all (FLSD-53: 5 below 0.2, else 3).

    As published, the loss jumps *up* as p grows past a threshold: at 0.2 from 0.527 to 0.824. The gradient never sees
    it, but line search, early stopping and every log do, and the population optimum has a plateau. `continuous` adds
    the jump below each threshold: the same gradients, a monotone loss. `continuous=False` is exact parity.

    Reference: Mukhoti et al. 2020, section 5 (sample-dependent gamma).
    """

    gammas: tuple[float, ...] = (5.0, 3.0)
    thresholds: tuple[float, ...] = (0.2,)
    continuous: bool = True

    def __post_init__(self) -> None:
        """Refuse thresholds that are not increasing probabilities."""
        _check_gammas(*self.gammas)
        if len(self.gammas) != len(self.thresholds) + 1:
            raise InputError(f"{len(self.thresholds)} thresholds need one gamma more, got {self.gammas}")
        if list(self.thresholds) != sorted(set(self.thresholds)) or not all(0 < t < 1 for t in self.thresholds):
            raise InputError(f"thresholds must increase, between 0 and 1, got {self.thresholds}")

    def at(self, progress: float) -> Steps:
        """Return the steps; every p below a threshold is lifted by what the loss would jump by there."""
        pairs = zip(self.thresholds, self.gammas, self.gammas[1:], strict=False)
        jumps = [((1 - t) ** above - (1 - t) ** below) * -math.log(t) for t, below, above in pairs]
        offsets = [sum(jumps[i:]) if self.continuous else 0.0 for i in range(len(self.gammas))]
        edges = tuple(math.log(t) for t in self.thresholds)
        return Steps(edges, tuple(float(g) for g in self.gammas), tuple(float(x) for x in offsets))


@dataclass(frozen=True)
class Solved(GammaPolicy):
    """Solve for each sample the smallest gamma that keeps focal's gradient at most cross entropy's from p on.

    gamma*(p) as in `gamma_star`, 0 for p >= 0.5, capped at `largest`. The loss value is the surrogate whose gradient
    the paper defines; it is not continuous in the way a fixed gamma is.

    Reference: Mukhoti et al. 2020, proposition 1 and appendix (Lambert W).
    """

    largest: float = 100.0

    def __post_init__(self) -> None:
        """Refuse a cap that is not an exponent."""
        _check_gammas(self.largest)

    def at(self, progress: float) -> GammaRule:
        """Return the solution, row by row, without leaving the device."""
        return self._solve

    def _solve(self, log_p: Tensor) -> tuple[Exponent, Exponent]:
        return solve_gamma(log_p).clamp(max=self.largest), 0.0


def solve_gamma(log_p: Tensor) -> Tensor:
    """Compute gamma*(p) elementwise from log p in float64; 0 for p >= 0.5.

    With l = -log p, r = p l / (1 - p) and t = log(1 + gamma r), the condition g(p, gamma) = 1 reads
    c (exp(t) - 1) = t with c = -log(1 - p) / r < 1: the branch -1 of Lambert's W. Newton from the right on this convex
    function converges monotonically, so a fixed number of steps serves every element.
    """
    log_p = log_p.double()
    below = log_p < math.log(0.5)
    log_p = torch.where(below, log_p, math.log(0.25)).clamp(min=-690.0)
    log_u = torch.log1p(-log_p.exp())
    r = log_p.exp() * -log_p / log_u.exp()
    c = -log_u / r
    big = -c.log()
    t = torch.minimum(2 * (1 - c) / c, big + torch.log1p(big) + 1)
    for _ in range(12):
        t = t - (c * torch.expm1(t) - t) / (c * t.exp() - 1)
    return torch.where(below, torch.expm1(t) / r, 0.0)


def gamma_star(p0: float) -> float:
    """Compute the smallest gamma for which focal's gradient is at most cross entropy's for every p >= p0.

    g(p, gamma) = (1-p)^gamma - gamma p (1-p)^(gamma-1) log p <= 1 for p >= p0; 0 for p0 >= 0.5.

    Raises:
        InputError: p0 is not a probability above 0.

    Reference: Mukhoti et al. 2020, proposition 1.

    >>> round(gamma_star(0.2), 4), round(gamma_star(0.25), 4), gamma_star(0.5)
    (4.8506, 3.0702, 0.0)
    """
    if not (isinstance(p0, int | float) and 0 < p0 <= 1):
        raise InputError(f"p0 must be a probability above 0 and at most 1, got {p0!r}")
    if p0 >= 0.5:
        return 0.0
    return float(solve_gamma(torch.tensor(float(p0), dtype=torch.float64).log()))


def as_policy(gamma: "float | GammaPolicy") -> GammaPolicy:
    """Return a policy for a number or a policy; refuse anything else."""
    if isinstance(gamma, GammaPolicy):
        return gamma
    if isinstance(gamma, int | float) and not isinstance(gamma, bool):
        return Fixed(float(gamma))
    raise InputError(f"gamma must be a number or a GammaPolicy, got {gamma!r}")
