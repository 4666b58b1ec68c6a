"""What several commands are tried on."""

import numpy as np
import pytest

from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions, save_predictions


@pytest.fixture
def table(tmp_path):
    """Write a table of over-confident logits, by a factor of 2.5, with a validation and a test part."""
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=(1200, 3))
    labels = (softmax(truth).cumsum(1) < rng.random((1200, 1))).sum(1).clip(max=2)
    split = np.where(np.arange(1200) < 600, "validation", "test")
    save_predictions(Predictions((2.5 * truth).astype(np.float32), "logits", labels, split), tmp_path / "p.parquet")
    return tmp_path / "p.parquet"
