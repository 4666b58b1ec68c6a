"""A hidden layer between two linear maps: what the rewrites of dense layers take and give."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """y = after relu(before x + bias) + output_bias, over a domain.

    `signs` say what each unit is over it: 1 active, -1 inactive, 0 neither. `inputs` (2, d) bound x.
    """

    before: Float[np.ndarray, "n d"]
    bias: Float[np.ndarray, " n"]
    after: Float[np.ndarray, "m n"]
    output_bias: Float[np.ndarray, " m"]
    signs: np.ndarray  # (n,)
    inputs: Float[np.ndarray, "2 d"]  # least and largest values

    @property
    def units(self) -> int:
        """How many ReLUs it has."""
        return len(self.bias)

    def keep(self, units: np.ndarray) -> "HiddenLayer":
        """Return it with some of its units."""
        return HiddenLayer(
            self.before[units], self.bias[units], self.after[:, units], self.output_bias, self.signs[units], self.inputs
        )

    def moved(self, by: np.ndarray) -> "HiddenLayer":
        """Return it with a constant added to what it gives."""
        return HiddenLayer(self.before, self.bias, self.after, self.output_bias + by, self.signs, self.inputs)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate inputs (k, d)."""
        return np.maximum(x @ self.before.T + self.bias, 0) @ self.after.T + self.output_bias
