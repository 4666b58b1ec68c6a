"""A table of predictions for tests, and when two are the same."""

import numpy as np
from numpy.typing import DTypeLike

from surefoot.core.predictions import Kind, Predictions


def sample(
    kind: Kind = "logits", n: int = 20, k: int = 3, split: bool = True, dtype: DTypeLike = np.float32
) -> Predictions:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(n, k)).astype(dtype)
    if kind == "probs":
        scores = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    parts = np.array(["validation"] * (n // 2) + ["test"] * (n - n // 2)) if split else None
    return Predictions(scores, kind, rng.integers(k, size=n), parts, ("a", "b", "c")[:k], {"model": "mlp"})


def same(a, b):
    assert a.kind == b.kind
    assert np.array_equal(a.scores, b.scores)
    assert np.array_equal(a.labels, b.labels)
    assert (a.split is None) == (b.split is None)
    assert a.split is None or np.array_equal(a.split, b.split)
