"""scikit-learn's bundled digits: 1,797 real 8x8 images, on every machine without a download."""

import torch
from sklearn.datasets import load_digits

from surefoot.data.splits import Data, divide


def digits(seed: int = 0) -> Data:
    """Return the digits as (n, 1, 8, 8) images in [0, 1], divided by a seed.

    >>> data = digits(); len(data.train), len(data.validation), len(data.test)
    (1077, 270, 450)
    """
    bunch = load_digits()
    x = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16  # type: ignore[attr-defined]
    y = torch.tensor(bunch.target, dtype=torch.long)  # type: ignore[attr-defined]
    return divide("digits", x, y, tuple(str(i) for i in range(10)), seed)
