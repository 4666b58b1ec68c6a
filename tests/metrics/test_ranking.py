"""KS by brute force and by its law; what happens beyond the capacity."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from surefoot.metrics.ranking import (
    CAPACITY,
    Ranking,
    observe_classes,
    observe_ranked_confidence,
    observe_top,
    observe_within,
    read_adaptive_ece,
    read_auroc,
    read_cross_validated_ece,
    read_ks,
    read_ks_pvalue,
)


@given(seed=st.integers(0, 1000), ties=st.booleans())
def test_ks_by_brute_force(seed, ties):
    rng = np.random.default_rng(seed)
    s = rng.random(30).round(1 if ties else 15)
    y = rng.random(30) < s
    steps = [abs((s[s <= edge] - y[s <= edge]).sum()) / 30 for edge in s]
    assert read_ks(observe_ranked_confidence(s, y)) == pytest.approx(max(steps))


@pytest.mark.parametrize(("x", "p"), [(2.2414, 0.05), (2.807, 0.01), (3.9, 1.924e-4)])
def test_ks_pvalue_is_the_law_of_the_maximum(x, p):
    n = 1_000_000
    correct = n / 2 - x * math.sqrt(n / 4)  # one tie block of fair coins, x standard deviations below
    tally = Ranking(True, 1024, np.array([0]), *(np.array([v]) for v in (0.5, float(n), correct, n / 2)))
    assert read_ks_pvalue(tally) == pytest.approx(p, rel=1e-3)
    series = sum((-1) ** j / (2 * j + 1) * math.exp(-((math.pi * (2 * j + 1)) ** 2) / (8 * x * x)) for j in range(50))
    assert read_ks_pvalue(tally) == pytest.approx(1 - 4 / math.pi * series, abs=1e-9)
    assert read_ks_pvalue(tally) == pytest.approx(4 * (norm.sf(x) - norm.sf(3 * x) + norm.sf(5 * x)), abs=1e-5)


def test_ks_test_rejects_as_often_as_it_says():
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(600):
        s = rng.beta(8, 1.2, 500)
        rejected += read_ks_pvalue(observe_ranked_confidence(s, rng.random(500) < s)) < 0.05
    assert 0.02 < rejected / 600 < 0.07


def test_ranking_beyond_its_capacity_stays_within_its_bound():
    rng = np.random.default_rng(2)
    s = np.concatenate([rng.random(CAPACITY), 1 - 10.0 ** -rng.uniform(1, 12, CAPACITY)])
    y = rng.random(2 * CAPACITY) < s**1.5
    exact, coarse = (observe_ranked_confidence(s[i : i + CAPACITY], y[i : i + CAPACITY]) for i in (0, CAPACITY))
    both = exact + coarse
    assert exact.exact
    assert not both.exact
    assert len(both.cell) <= CAPACITY
    order = np.argsort(s)
    truth = np.abs(np.cumsum((s - y)[order])).max() / len(s)
    assert abs(read_ks(both) - truth) <= both.slack < 1e-4
    misses = both.count - both.correct
    shared = float(both.correct @ misses / (2 * both.correct.sum() * misses.sum()))
    assert abs(read_auroc(both) - roc_auc_score(y, s)) <= shared < 1e-3
    middle = np.argsort(np.argsort(s))
    bins = np.clip(np.ceil((middle + 0.5) * 15 / len(s)).astype(int) - 1, 0, 14)
    exact_ece = np.abs(np.bincount(bins, weights=s - y)).sum() / len(s)
    edge_cells = np.sort(both.count)[-14:].sum() / len(s)
    assert abs(read_adaptive_ece(both) - exact_ece) <= 2 * edge_cells < 0.1
    assert both.confidence.sum() == pytest.approx(s.sum())
    again = observe_ranked_confidence(s, y)
    assert np.array_equal(again.cell, both.cell)
    assert np.array_equal(again.count, both.count)
    means = both.confidence / both.count
    assert (np.diff(means) > 0).all()


@given(seed=st.integers(0, 1000), ties=st.booleans())
def test_ks_of_other_events_by_brute_force(seed, ties):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet([1, 1, 1, 1], size=25)
    if ties:
        probs = np.round(4 * probs) + 1
        probs /= probs.sum(1, keepdims=True)
    labels = rng.integers(4, size=25)

    def ks(s, y):
        return max(abs((s[s <= edge + 1e-12] - y[s <= edge + 1e-12]).sum()) / 25 for edge in s)

    order = np.argsort(-probs, axis=1, kind="stable")
    at = np.arange(25)
    for r in (1, 2, 3, 4):
        top = ks(probs[at, order[:, r - 1]], order[:, r - 1] == labels)
        assert read_ks(observe_top(probs, labels, r)) == pytest.approx(top)
        within = np.minimum(np.take_along_axis(probs, order[:, :r], 1).sum(1), 1)
        # sums that would tie differ by rounding: compare where they do not
        if not ties:
            hit = (order[:, :r] == labels[:, None]).any(1)
            assert read_ks(observe_within(probs, labels, r)) == pytest.approx(ks(within, hit))
    classes = [ks(probs[:, j], labels == j) for j in range(4)]
    assert read_ks(observe_classes(probs, labels)) == pytest.approx(np.mean(classes))


@pytest.mark.parametrize("r", [0, 5, True])
def test_an_event_that_does_not_exist_is_refused(r):
    with pytest.raises(ValueError, match="r must be a whole number from 1 to 4"):
        observe_top(np.full((3, 4), 0.25), [0, 1, 2], r)


def test_one_event_a_class_beyond_capacity_stays_within_its_bound():
    rng = np.random.default_rng(3)
    n, k = 40_000, 8
    probs = rng.dirichlet(np.ones(k), size=n)
    labels = (probs.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)
    tally = observe_classes(probs, labels)
    assert not tally.exact
    for j, event in enumerate(tally.events()):
        order = np.argsort(probs[:, j])
        truth = np.abs(np.cumsum((probs[:, j] - (labels == j))[order])).max() / n
        assert abs(read_ks(event) - truth) <= event.slack < 2e-3


def test_cross_validated_ece_knows_how_many_bins_the_rows_bear():
    rng = np.random.default_rng(4)
    s = 0.5 + rng.random(4000) / 2
    calibrated = observe_ranked_confidence(s, rng.random(4000) < s)
    assert read_cross_validated_ece(calibrated) < read_adaptive_ece(calibrated, 100) / 2
    wavy = np.clip(s + 0.2 * np.sin(60 * s), 0, 1)  # many bins are needed to see it
    found = observe_ranked_confidence(s, rng.random(4000) < wavy)
    assert read_cross_validated_ece(found) == pytest.approx(np.abs(wavy - s).mean(), abs=0.03)
    assert read_adaptive_ece(found, 5) < 0.08
