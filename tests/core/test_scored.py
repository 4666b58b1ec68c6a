"""Batches whose probabilities keep their logarithms."""

import mpmath
import numpy as np
import pytest

from surefoot.core.numerics import softmax
from surefoot.core.scored import Scored, order_of, scored


def test_rows_are_picked_with_all_that_is_known_of_them():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 4)) * 10.0 ** rng.integers(-1, 4, size=(50, 1))
    y = rng.integers(4, size=50)
    whole, kept = Scored.of_logits(z), rng.random(50) < 0.5
    for which in (kept, np.flatnonzero(kept)[::-1]):
        part, alone = whole[which], Scored.of_logits(z[which])
        again = part[np.arange(len(part))[::2]]
        assert np.array_equal(part.log_of(y[which]), alone.log_of(y[which]))
        assert np.array_equal(part.order, alone.order)
        assert np.array_equal(again.top, alone.top[::2])
        assert np.array_equal(again.log_of(y[which][::2]), alone.log_of(y[which])[::2])


def test_logarithms_are_right_where_probabilities_are_0_or_1():
    z = np.array([[0.0, 5000.0, 4000.0], [800.0, 0.0, 1.0], [0.1, 0.2, 0.3], [-np.inf, 0.0, 40.0]])
    batch = Scored.of_logits(z)
    for j in range(3):
        found = batch.log_of(np.full(4, j))
        for i, row in enumerate(z):
            with mpmath.workdps(60):
                total = mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(float(v))) for v in row if np.isfinite(v)))
                right = float(mpmath.mpf(float(row[j])) - total) if np.isfinite(row[j]) else -np.inf
            assert found[i] == pytest.approx(right, rel=1e-14)
    assert batch.order[:2].tolist() == pytest.approx([1000, 799 - np.log1p(np.exp(-1))])


def test_the_order_of_probabilities_is_that_of_logits():
    z = np.random.default_rng(1).normal(size=(200, 3)) * 3
    by_logits, by_probs = Scored.of_logits(z), Scored.of_probs(softmax(z))
    assert np.array_equal(np.argsort(by_logits.order), np.argsort(by_probs.order))
    assert np.allclose(by_logits.orders_of_classes(), by_probs.orders_of_classes(), rtol=1e-6)
    assert np.array_equal(
        np.argsort(order_of(z[:, 0].clip(0, 1)), kind="stable"), np.argsort(z[:, 0].clip(0, 1), kind="stable")
    )


def test_the_same_logits_in_another_order_tie():
    z = np.random.default_rng(2).normal(size=(300, 7)) * 5
    turned = np.take_along_axis(z, np.random.default_rng(3).random(z.shape).argsort(1), 1)
    assert (Scored.of_logits(z).order == Scored.of_logits(turned).order).mean() > 0.98


def test_a_floor_stands_for_a_stored_zero():
    assert Scored.of_probs(np.array([[1.0, 0.0]]), 1e-3).log_of(np.array([1]))[0] == pytest.approx(np.log(1e-3))
    batch = scored(np.array([[1.0, 0.0]], dtype=np.float32))
    assert batch.log_of(np.array([1]))[0] == pytest.approx(-87.336, abs=1e-3)
    assert scored(batch) is batch
