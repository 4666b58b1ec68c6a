"""A layer between two linear maps: what the rewrites of dense layers take and give."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Segment:
    """y = after relu(before x + offset) + shift, over a domain.

    `signs` say what each unit is over it: 1 active, -1 inactive, 0 neither. `inputs` (2, d) bound x.
    """

    before: Float[np.ndarray, "n d"]
    offset: Float[np.ndarray, " n"]
    after: Float[np.ndarray, "m n"]
    shift: Float[np.ndarray, " m"]
    signs: np.ndarray  # (n,)
    inputs: Float[np.ndarray, "2 d"]  # least and largest values

    @property
    def units(self) -> int:
        """How many ReLUs it has."""
        return len(self.offset)

    def keep(self, units: np.ndarray) -> "Segment":
        """Return it with some of its units."""
        return Segment(
            self.before[units], self.offset[units], self.after[:, units], self.shift, self.signs[units], self.inputs
        )

    def moved(self, shift: np.ndarray) -> "Segment":
        """Return it with a constant added to what it gives."""
        return Segment(self.before, self.offset, self.after, self.shift + shift, self.signs, self.inputs)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate inputs (k, d)."""
        return np.maximum(x @ self.before.T + self.offset, 0) @ self.after.T + self.shift
