"""A condition on outputs and what it becomes of logits are the same condition."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from surefoot.core.errors import InputError
from surefoot.graph.passes.softmax import Link
from surefoot.spec.input_set import InputSet
from surefoot.spec.outputs import GAP, Conditions, comparisons_of_logits, of_logits, widened_for_float32
from surefoot.spec.query import Query, Unsafe


def query(*sets: tuple[list[list[float]], list[float]]) -> Query:
    unsafe = tuple(Unsafe(np.array(w, float), np.array(b, float)) for w, b in sets)
    return Query(InputSet(np.zeros(1), np.ones(1)), unsafe)


def met(conditions: Conditions, z: np.ndarray, spare: float) -> np.ndarray:
    """Which logits (n, k) are in a set, made wider by so much."""
    inside: Any = (z @ conditions.rows.weights.T <= conditions.rows.bounds + spare).all(1)
    for threshold in conditions.thresholds:
        s = np.asarray(logsumexp(np.delete(z, threshold.output, 1) - z[:, [threshold.output]], axis=1))
        inside &= s >= threshold.level - spare if threshold.at_most else s <= threshold.level + spare
    return inside


@pytest.mark.parametrize("link", ["softmax", "log-softmax"])
def test_a_set_of_outputs_is_one_of_logits(link: Link) -> None:
    rng = np.random.default_rng(0)
    rewritten = 0
    for _ in range(400):
        k = int(rng.integers(1, 5))
        z = rng.normal(size=(200, k)) * rng.choice([0.3, 2.0, 9.0])
        y = softmax(z, axis=1) if link == "softmax" else log_softmax(z, axis=1)
        weights = rng.choice([-1.0, 0.0, 0.0, 1.0, 2.0], (2, k))
        bounds = rng.choice([-1.0, 0.0, 0.3, 1.0, 1.2, *(y @ weights[0])[:3]], 2)
        asked = query((weights.tolist(), bounds.tolist()))
        try:
            found = of_logits(asked, link)
        except InputError:
            continue
        rewritten += 1
        slack = asked.unsafe[0].slack(y)
        if not found.sets:
            assert (slack > -1e-12).all()
            assert found.never is not None
            assert found.never <= slack.min() + 1e-12
        else:
            (conditions,) = found.sets
            assert met(conditions, z, 1e-9)[slack <= -1e-12].all(), (weights, bounds)  # nothing unsafe is lost
            assert not met(conditions, z, -1e-9)[slack > 1e-12].any(), (weights, bounds)  # nothing else is unsafe
    assert rewritten > 200


def test_ties_of_two_and_of_one_half_are_kept_exactly() -> None:
    found = of_logits(query(([[3.0, -3.0]], [0.0]), ([[-1.0, 0.0]], [-0.5])), "softmax")
    assert found.sets[0].rows.weights.tolist() == [[1.0, -1.0]]
    assert found.sets[0].rows.bounds.tolist() == [0.0]
    assert found.sets[1].rows.weights.tolist() == [[-1.0, 1.0]]
    assert found.sets[1].rows.bounds.tolist() == [0.0]
    log = of_logits(query(([[1.0, -1.0, 0.0]], [0.25])), "log-softmax")
    assert log.sets[0].rows.bounds.tolist() == [0.25]


@pytest.mark.parametrize("bound", [5e-324, 1e-300, 0.5 + 2**-53, 1 - 2**-53])
def test_levels_are_rounded_so_that_sets_grow(bound: float) -> None:
    """Against 60 digits: log((1 - c) / c)."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 400
    c = mpmath.mpf(Fraction(bound).numerator) / Fraction(bound).denominator
    level = mpmath.log((1 - c) / c)
    low = of_logits(query(([[1.0, 0.0, 0.0]], [bound])), "softmax").sets[0].thresholds[0]
    high = of_logits(query(([[-1.0, 0.0, 0.0]], [-bound])), "softmax").sets[0].thresholds[0]
    assert low.at_most
    assert low.level <= level <= low.level + 1e-11 * (1 + abs(level))
    assert not high.at_most
    assert high.level >= level >= high.level - 1e-11 * (1 + abs(level))


def test_what_no_probability_is_and_what_each_is() -> None:
    never = of_logits(query(([[1.0, 0.0]], [-1.0])), "softmax")
    assert never.sets == ()
    assert never.never == 1.0
    assert of_logits(query(([[1.0, 0.0]], [0.0])), "softmax").never == 0.0  # none is 0, but how far off is not said
    assert of_logits(query(([[-1.0, 0.0]], [-2.0])), "softmax").never == 1.0
    assert len(of_logits(query(([[1.0, 0.0]], [1.0])), "softmax").sets[0].rows.bounds) == 0
    assert of_logits(query(([[-1.0, -1.0, 0.0]], [-0.25])), "log-softmax").never == 0.25
    assert comparisons_of_logits(query(([[1.0, 0.0]], [-1.0])), "softmax") is None


def test_one_class_of_all_keeps_its_place_in_float32() -> None:
    rows = [[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]]
    whole = query(*(([row], [0.0]) for row in rows))
    wide = widened_for_float32(of_logits(whole, "softmax"), 3)
    assert wide is not None
    assert [u.bounds.tolist() for u in wide] == [[GAP], [GAP]]
    rng = np.random.default_rng(0)
    d = GAP * rng.choice([1, 3, 1e3, 1e6], (1000, 2)) * (1 + rng.random((1000, 2)))
    z = np.concatenate([np.zeros((1000, 1)), -d], 1).astype(np.float32) + rng.normal(size=(1000, 1)).astype(np.float32)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert (p[:, :1] > p[:, 1:])[(z[:, :1] - z[:, 1:]) >= GAP].all()
    for other in (query(([rows[0]], [0.0])), query((rows, [0.0, 0.0])), query(([rows[0]], [0.5]), ([rows[1]], [0.0]))):
        assert widened_for_float32(of_logits(other, "log-softmax"), 3) is None


def test_what_remains_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"\+1 Y_0 \+1 Y_1 <= 0.5 \(row 1 of unsafe set 1\) speaks of probabilities"):
        of_logits(query(([[1.0, 1.0, 0.0]], [0.5])), "softmax")
    with pytest.raises(InputError, match="log-probabilities"):
        of_logits(query(([[1.0, 1.0, 0.0]], [-0.5])), "log-softmax")
    with pytest.raises(InputError, match="certificates cover comparisons of two outputs"):
        comparisons_of_logits(query(([[1.0, 0.0, 0.0]], [0.5])), "softmax")
    impossible = query(([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [0.5, -1.0]))
    assert of_logits(impossible, "softmax").sets == ()  # a set that cannot be reached need not be understood


def test_numbers_of_any_size_are_read_or_refused() -> None:
    assert of_logits(query(([[1.7e308, 0.0]], [-1.7e308])), "softmax").never is not None
    for weight, bound in ((1e-300, -1e10), (1e300, -1e-300)):
        with pytest.raises(InputError, match="log-probabilities"):
            of_logits(query(([[weight, 0.0]], [bound])), "log-softmax")
