"""Stars: affine images of polytopes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.rounding import LOST, magnitude, sum_error
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate, Solver


@dataclass(frozen=True, eq=False)
class Star:
    """The values { centre + sum a_i generators[i] : a in the predicate }, each within the form's error: a star.

    With an image's shape it is the paper's ImageStar. Immutable.
    """

    form: AffineForm
    predicate: Predicate

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one member."""
        return tuple(self.form.centre.shape)

    def member(self, a: Float[np.ndarray, " m"]) -> Float[Tensor, "*shape"]:
        """Return the member of variables a (m,)."""
        return self.form.at(torch.from_numpy(a[: self.form.variables]))

    def minimum(self, direction: Float[Tensor, "..."]) -> float:
        """Bound direction · x from below over the star; the optimum up to rounding."""
        centre, generators = self.form.flat()
        d = direction.flatten().numpy()
        minimum = Solver(self.predicate).minimum(generators @ d)
        error = magnitude(self.form.error.flatten().numpy())
        size = magnitude(d) @ (self.form.size(self.predicate).flatten().numpy() + error)
        return float(minimum + centre @ d - magnitude(d) @ error - sum_error(len(d), size) - LOST)
