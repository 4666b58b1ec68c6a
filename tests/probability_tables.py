"""Tables of probabilities, and the reference's ECE, for the tests of several metrics."""

from itertools import pairwise

import numpy as np


def table(seed, n=500, k=5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, k))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probs.astype(dtype), rng.integers(k, size=n)


def reference_ece(confidence, correct, edges):
    """Compute ECE as the focal-calibration code does, with float32 tensors and the given bin edges."""
    total = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += abs(confidence[inside].mean() - correct[inside].mean()) * inside.mean()
    return total
