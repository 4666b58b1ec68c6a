"""The shapes of the tensors that losses take and give, as types: ``n`` samples, ``k`` classes."""

from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

LogitRows: TypeAlias = Float[Tensor, "n k"]
Targets: TypeAlias = Int[Tensor, " n"]
SoftTargets: TypeAlias = Float[Tensor, "n k"]
PerSample: TypeAlias = Float[Tensor, " n"]
Scalar: TypeAlias = Float[Tensor, ""]
