"""Predictions of models that are over-confident, right or under-confident by a known amount."""

import numpy as np

from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions


def sample(temperature=1.0, n=3000, k=4, seed=0, noise=0.0, rows=0, loss="ce"):
    """Return predictions whose labels follow softmax(temperature * logits): below 1, the model is over-confident."""
    rng = np.random.default_rng(rows)
    truth = 2.0 * rng.normal(size=(n, k))
    labels = (softmax(truth).cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)
    scores = truth / temperature + noise * np.random.default_rng(seed).normal(size=(n, k))
    split = np.where(np.arange(n) % 2 == 0, "validation", "test")
    return Predictions(scores, "logits", labels, split, None, {"loss": loss})
