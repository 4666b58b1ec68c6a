"""Adam as `torch.optim.Adam` steps; that imports 900 modules at first use, a second which no limit of time can end."""

from collections.abc import Sequence

import torch
from torch import Tensor

BETA, GAMMA, TINY = 0.9, 0.999, 1e-8


class Adam:
    """Steps of x against its gradient: m / (sqrt(v) + 1e-8), m and v means of gradients and of their squares.

    `groups` are (variables, rate); a variable without a gradient stays.

    Reference: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[Tensor], float]]) -> None:
        self.groups = groups
        self.means = {x: (0, torch.zeros_like(x), torch.zeros_like(x)) for variables, _ in groups for x in variables}

    def clear(self) -> None:
        """Forget gradients."""
        for x in self.means:
            x.grad = None

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """Step all variables, each at its rate times the factor."""
        for variables, rate in self.groups:
            for x in variables:
                if x.grad is None:
                    continue
                count, mean, square = self.means[x]
                count += 1
                mean.lerp_(x.grad, 1 - BETA)
                square.mul_(GAMMA).addcmul_(x.grad, x.grad, value=1 - GAMMA)
                self.means[x] = count, mean, square
                size = (square.sqrt() / (1 - GAMMA**count) ** 0.5).add_(TINY)
                x.addcdiv_(mean, size, value=-rate * factor / (1 - BETA**count))
