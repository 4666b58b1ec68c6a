"""Every reading against an independent judge: scikit-learn, brute force, the reference's definitions."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from surefoot.metrics import METRICS, observe_classwise, observe_ranking, observe_reliability
from surefoot.metrics.classwise import read_classwise_ece, read_classwise_ece_parity
from surefoot.metrics.proper import observe_scores, read_accuracy, read_brier, read_nll
from surefoot.metrics.ranking import (
    CAPACITY,
    Ranking,
    observe_ranked_confidence,
    read_adaptive_ece,
    read_adaptive_ece_parity,
    read_auroc,
    read_ks,
    read_ks_pvalue,
)
from surefoot.metrics.reliability import observe_confidence, read_debiased_ece, read_ece, read_mce, read_rmsce
from surefoot.metrics.uncertainty import draw_labels, measure


def table(seed, n=500, k=5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, k))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probs.astype(dtype), rng.integers(k, size=n)


def reference_ece(confidence, hits, edges):
    """Compute ECE as the focal-calibration code does, with float32 tensors and the given bin edges."""
    total = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += abs(confidence[inside].mean() - hits[inside].mean()) * inside.mean()
    return total


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binned_readings(seed, dtype):
    probs, labels = table(seed, dtype=dtype)
    confidence, hits = probs.max(1).astype(np.float64), (probs.argmax(1) == labels).astype(np.float64)
    edges = np.linspace(0, 1, 16).astype(dtype)
    tally = observe_reliability(probs, labels)
    assert read_ece(tally) == pytest.approx(reference_ece(confidence, hits, edges), abs=1e-6)
    gaps, shares = [], []
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gaps.append(abs(confidence[inside].mean() - hits[inside].mean()))
            shares.append(inside.mean())
    assert read_mce(tally) == pytest.approx(max(gaps))
    assert read_rmsce(tally) == pytest.approx(math.sqrt(np.dot(shares, np.square(gaps))))
    columns = [reference_ece(probs[:, j].astype(float), (labels == j).astype(float), edges) for j in range(5)]
    assert read_classwise_ece(observe_classwise(probs, labels)) == pytest.approx(np.mean(columns), abs=1e-6)
    edges = np.interp(np.linspace(0, 500, 16), np.arange(500), np.sort(confidence))
    parity = read_adaptive_ece_parity(observe_ranking(probs, labels))
    assert parity == pytest.approx(reference_ece(confidence, hits, edges), abs=1e-6)
    # without ties the corrected reading differs by the one row that the reference drops
    assert read_adaptive_ece(observe_ranking(probs, labels)) == pytest.approx(parity, abs=1.01 / 500)


def test_parity_and_corrected_modes_part_where_the_spec_says():
    saturated = observe_ranked_confidence(np.ones(1000), np.arange(1000) < 800)
    assert read_adaptive_ece_parity(saturated) == 0
    assert read_adaptive_ece(saturated) == pytest.approx(0.2)
    probs = np.array([[0.7, 0.2, 0.1], [0.4, 0.6, 0.0]])
    tally = observe_classwise(probs, np.array([0, 1]))
    assert read_classwise_ece_parity(tally) == pytest.approx((0.3 + 0.4 + 0.2 + 0.4) / 2 / 2)
    assert read_classwise_ece(tally) == pytest.approx((0.3 + 0.4 + 0.2 + 0.4 + 0.1) / 3 / 2)
    tally = observe_classwise(np.array([[1.0, 0.0]]), np.array([1]))
    assert read_classwise_ece(tally) == 1.0
    assert read_classwise_ece_parity(tally) == 0.5  # the hit at exactly 0 is dropped


def test_exactly_one_and_exactly_zero_are_in_the_outer_bins():
    tally = observe_confidence([1.0, 1.0, 0.97, 0.96], [1, 0, 1, 1])
    assert read_ece(tally) == pytest.approx(abs((1 + 1 + 0.97 + 0.96) - 3) / 4)
    assert read_ece(observe_confidence([0.0], [1])) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed):
    probs, labels = table(seed)
    scores = observe_scores(probs, labels)
    assert read_nll(scores) == pytest.approx(log_loss(labels, probs))
    assert read_brier(scores) == pytest.approx(brier_score_loss(labels, probs, scale_by_half=False))
    assert read_accuracy(scores) == (probs.argmax(1) == labels).mean()
    confidence = probs.max(1).round(1)  # with ties
    hits = probs.argmax(1) == labels
    assert read_auroc(observe_ranked_confidence(confidence, hits)) == pytest.approx(roc_auc_score(hits, confidence))


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
    hits = n / 2 - x * math.sqrt(n / 4)  # one tie block of fair coins, x standard deviations below
    tally = Ranking(True, *(np.array([v]) for v in (0.5, float(n), hits, n / 2)))
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


def test_debiased_ece_is_nearer_the_truth():
    rng = np.random.default_rng(1)
    plain, debiased = [], []
    for _ in range(200):
        s = rng.uniform(0.5, 0.95, 1000)
        tally = observe_confidence(s, rng.random(1000) < s - 0.03)
        plain.append(read_ece(tally))
        debiased.append(read_debiased_ece(tally))
    assert np.mean(plain) > 0.04
    assert np.mean(debiased) == pytest.approx(0.03, abs=0.006)


def test_float64_sums_where_float32_drifts():
    n = 10_000_000
    confidence = np.full(n, 0.9, dtype=np.float32)
    hits = np.zeros(n, dtype=bool)
    hits[: int(n * 0.8)] = True
    assert read_ece(observe_confidence(confidence, hits)) == pytest.approx(0.1, abs=1e-6)


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
    assert read_auroc(both) == pytest.approx(roc_auc_score(y, s), abs=1e-4)
    assert both.confidence.sum() == pytest.approx(s.sum())
    again = observe_ranked_confidence(s, y)
    assert np.array_equal(again.cell, both.cell)
    assert np.array_equal(again.count, both.count)
    means = both.confidence / both.count
    assert (np.diff(means) > 0).all()


def test_drawn_labels_follow_their_rows():
    rng = np.random.default_rng(0)
    probs = np.tile([0.2, 0.0, 0.7, 0.1], (20000, 1))
    shares = np.bincount(draw_labels(probs, rng), minlength=4) / 20000
    assert shares == pytest.approx([0.2, 0.0, 0.7, 0.1], abs=0.015)


def test_measuring_in_batches_is_measuring_at_once():
    probs, labels = table(0, n=900)
    once = measure([(probs, labels)], METRICS.values(), floors=False)
    parts = measure(
        ((probs[i : i + 100], labels[i : i + 100]) for i in range(0, 900, 100)), METRICS.values(), floors=False
    )
    assert {k: r.value for k, r in once.items()} == pytest.approx({k: r.value for k, r in parts.items()})


def test_same_seed_same_numbers_and_tensors_do_as_well():
    probs, labels = table(0)
    first = measure([(probs, labels)], METRICS.values(), seed=3)
    assert first == measure([(torch.from_numpy(probs), torch.from_numpy(labels))], METRICS.values(), seed=3)


def test_one_row_has_no_interval():
    reading = measure([([[0.9, 0.1]], [0])], [METRICS["ece"]])["ece"]
    assert reading.value == pytest.approx(0.1)
    assert math.isnan(reading.low)


@pytest.mark.slow
def test_published_numbers_of_real_models(shared_data):
    with np.load(shared_data / "logits" / "cifar10_densenet40_valtest.npz", allow_pickle=False) as file:
        logits, labels = torch.from_numpy(file["logits_test"]).double(), file["labels_test"]
    got = measure([(logits.softmax(1), labels)], METRICS.values(), intervals=False, floors=False)
    assert got["accuracy"].value == pytest.approx(0.9242, abs=5e-5)
    assert got["ece"].value == pytest.approx(0.055, abs=5e-5)
    assert got["ks"].value == pytest.approx(0.0549, abs=5e-5)
