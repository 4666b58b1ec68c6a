"""The margin loss of face verification: it takes cosines, where the other losses take logits."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from surefoot.core.errors import InputError


class AngularMarginLoss(nn.Module):
    """Cross entropy of s cos(t_j + m [j = y]), mean over rows; t_j = arccos of the cosine of class j.

    cosines (n, k) in [-1, 1], target (n,). Beyond t = pi - m the cosine is continued as cos t - m sin m, so that it
    falls all the way.

    Not proper: its minimum is no probability. Calibrate what a model trained with it says before believing it.

    Raises:
        InputError: a scale that is not positive, a margin outside [0, pi/2), targets that are no classes.

    Reference: Deng et al. 2019 (ArcFace), equation 3.

    >>> AngularMarginLoss(scale=1.0, margin=0.0)(torch.tensor([[1.0, -1.0]]), torch.tensor([0]))
    tensor(0.1269)
    """

    def __init__(self, scale: float = 30.0, margin: float = 0.5) -> None:
        super().__init__()
        if not scale > 0 or not 0 <= margin < torch.pi / 2:
            raise InputError(f"scale {scale} must be positive, margin {margin} in [0, pi / 2)")
        self.scale, self.margin = scale, torch.tensor(margin, dtype=torch.float64)

    def forward(self, cosines: Tensor, target: Tensor) -> Tensor:
        """Compute it."""
        n, k = cosines.shape
        if target.shape != (n,) or (n and not 0 <= int(target.min()) <= int(target.max()) < k):
            raise InputError(f"targets {tuple(target.shape)} are not classes of cosines {(n, k)}")
        cosine = cosines.gather(1, target.unsqueeze(1)).clamp(-1, 1)
        sine = (1 - cosine**2).clamp(min=1e-12).sqrt()
        cos, sin = float(self.margin.cos()), float(self.margin.sin())
        moved = cosine * cos - sine * sin
        moved = torch.where(cosine > -cos, moved, cosine - float(self.margin) * sin)
        return F.cross_entropy(self.scale * cosines.scatter(1, target.unsqueeze(1), moved), target)
