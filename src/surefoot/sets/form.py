"""Affine forms: values as affine functions of a star's variables, and how far the true values can be from that."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surefoot.sets.predicate import Predicate

_UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class Form:
    """x = centre + sum_i a_i generators[i] + e, |e| <= error, for one image or vector of any shape.

    Shared variables keep their places, so forms of two branches add generator by generator; missing ones are 0.
    The error holds what rounding may have lost: it passes through rectifiers and maxima unchanged, since these never
    enlarge a difference.
    """

    centre: Tensor  # (*shape)
    generators: Tensor  # (m, *shape)
    error: Tensor  # (*shape)

    @property
    def variables(self) -> int:
        """How many variables it speaks of."""
        return len(self.generators)

    def stacked(self, variables: int) -> Tensor:
        """Return (1 + variables, *shape): the centre, then the generators, missing ones 0."""
        missing = self.centre.new_zeros(variables - self.variables, *self.centre.shape)
        return torch.cat([self.centre.unsqueeze(0), self.generators, missing])

    def size(self, predicate: Predicate) -> Tensor:
        """Return |centre| + sum |generators| |a|: what rounding is relative to."""
        reach = torch.from_numpy(predicate.reach[: self.variables])
        return self.centre.abs() + torch.tensordot(reach, self.generators.abs(), 1)

    def affine(
        self,
        linear: Callable[[Tensor], Tensor],
        absolute: Callable[[Tensor], Tensor],
        bias: Tensor | None,
        relative: float,
        predicate: Predicate,
    ) -> "Form":
        """Map by W x + b; `relative` bounds the rounding of one output relative to |W| |x| + |b|. Exact otherwise."""
        moved = linear(torch.cat([self.centre.unsqueeze(0), self.generators]))
        size = self.size(predicate)
        if relative:
            spread = absolute((self.error * (1 + 2 * relative) + 2 * relative * size).unsqueeze(0))[0]
        else:  # nothing is added, only moved
            spread = absolute(self.error.unsqueeze(0))[0]
        centre = moved[0]
        if bias is not None:
            centre = centre + bias
            spread = spread + 2 * relative * bias.abs()
        return Form(centre, moved[1:], spread * (1 + 1e-9))

    def plus(self, other: "Form", predicate: Predicate) -> "Form":
        """Add a form over the same variables."""
        variables = max(self.variables, other.variables)
        total = self.stacked(variables) + other.stacked(variables)
        error = self.error + other.error + 2 * _UNIT * (self.size(predicate) + other.size(predicate))
        return Form(total[0], total[1:], error * (1 + 1e-9))

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the centre (n,) and the generators (m, n)."""
        return self.centre.flatten().numpy(), self.generators.flatten(1).numpy()

    def box(self, predicate: Predicate) -> tuple[Tensor, Tensor]:
        """Bound the form without its error over the predicate's box: by the sign of each generator, not at corners."""
        low = torch.from_numpy(predicate.lower[: self.variables])
        high = torch.from_numpy(predicate.upper[: self.variables])
        middle, radius = (low + high) / 2, (high - low) / 2
        centre = self.centre + torch.tensordot(middle, self.generators, 1)
        spread = torch.tensordot(radius, self.generators.abs(), 1)
        spread = spread + 4 * (self.variables + 4) * _UNIT * self.size(predicate)
        return centre - spread, centre + spread
