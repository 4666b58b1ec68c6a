"""Tallies: their sum is one recombination, and any metric reads what was seen in parts as if at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from surefoot.metrics import METRICS
from surefoot.metrics.base import Tally


@dataclass(frozen=True)
class Sums(Tally):
    """The simplest tally: how many, and their sum."""

    n: float
    total: float

    @staticmethod
    def recombine(tallies: Sequence[Tally], weights: np.ndarray) -> list[Tally]:
        held = np.array([(t.n, t.total) for t in tallies if isinstance(t, Sums)])
        return [Sums(*row) for row in (weights @ held).tolist()]

    def bounded(self, share: int) -> "Sums":
        return self


def test_a_sum_is_a_recombination_with_ones() -> None:
    assert Sums(2, 5.0) + Sums(1, 0.5) == Sums(3, 5.5)
    assert Sums.recombine([Sums(2, 5.0), Sums(1, 0.5)], np.array([[2.0, 0.0], [0.0, 3.0]])) == [
        Sums(4, 10),
        Sums(3, 1.5),
    ]


@pytest.mark.parametrize("name", ["accuracy", "nll", "brier"])
def test_parts_in_any_order_read_as_the_whole(name: str) -> None:
    metric = METRICS[name]
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), 30), rng.integers(3, size=30)
    a, b, c = (metric.observe(probs[i::3], labels[i::3]) for i in range(3))
    whole = metric.read(metric.observe(probs, labels))
    assert metric.read((a + b) + c) == pytest.approx(whole, rel=1e-12)
    assert metric.read(c + (b + a)) == pytest.approx(whole, rel=1e-12)
    (twice,) = metric.observe(probs, labels).recombine([a, b, c], np.full((1, 3), 2.0))
    assert metric.read(twice) == pytest.approx(whole, rel=1e-12)
