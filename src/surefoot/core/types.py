"""The shapes of everything that passes between packages, as types.

The same letters everywhere: ``n`` samples, ``k`` classes, ``b`` bins.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike as ArrayLike
from torch import Tensor

# Arrays: measuring and recalibrating (NumPy, scikit-learn's currency).
Logits: TypeAlias = Float[np.ndarray, "n k"]
Probs: TypeAlias = Float[np.ndarray, "n k"]
Labels: TypeAlias = Int[np.ndarray, " n"]
Confidences: TypeAlias = Float[np.ndarray, " n"]

# Tensors: training.
LogitRows: TypeAlias = Float[Tensor, "n k"]
Targets: TypeAlias = Int[Tensor, " n"]
SoftTargets: TypeAlias = Float[Tensor, "n k"]
PerSample: TypeAlias = Float[Tensor, " n"]
Scalar: TypeAlias = Float[Tensor, ""]
