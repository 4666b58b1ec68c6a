"""The shapes of the arrays that pass between packages, as types; those of tensors are in `losses.types`.

The same letters everywhere: ``n`` samples, ``k`` classes, ``b`` bins.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike as ArrayLike

Logits: TypeAlias = Float[np.ndarray, "n k"]
Probs: TypeAlias = Float[np.ndarray, "n k"]
Labels: TypeAlias = Int[np.ndarray, " n"]
Confidences: TypeAlias = Float[np.ndarray, " n"]
