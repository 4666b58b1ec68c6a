"""The laws of every metric in the catalogue."""

import pickle
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.metrics import METRICS, measure
from surefoot.metrics.ranking import Ranking

ALL = sorted(METRICS)
OBSERVATIONS = {metric.observe.__name__: metric.observe for metric in METRICS.values()}


def table(seed, n=40, k=4, ties=False, dtype=np.float64):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, k))
    logits = logits.round() if ties else logits
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probs.astype(dtype), rng.integers(k, size=n)


def same(a, b):
    return all(np.allclose(x, y, rtol=1e-12, atol=1e-12) for x, y in zip(astuple(a), astuple(b), strict=True))


@pytest.mark.parametrize("observe", OBSERVATIONS.values(), ids=OBSERVATIONS)
@given(seed=st.integers(0, 10_000), cuts=st.tuples(st.integers(1, 38), st.integers(1, 38)), ties=st.booleans())
def test_tallies_add(observe, seed, cuts, ties):
    probs, labels = table(seed, ties=ties)
    first, second = sorted(cuts)
    second += second == first
    parts = [slice(0, first), slice(first, second), slice(second, 40)]
    a, b, c = (observe(probs[p], labels[p]) for p in parts)
    whole = observe(probs, labels)
    assert same(a + b + c, whole)
    assert same(a + (b + c), whole)
    assert same(c + b + a, whole)
    assert same(observe(probs[::-1], labels[::-1]), whole)


@pytest.mark.parametrize("observe", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_recombining_is_repeating_rows(observe):
    probs, labels = table(0)
    parts = [observe(probs[i : i + 10], labels[i : i + 10]) for i in range(0, 40, 10)]
    rows = np.r_[0:10, 0:10, 20:30]
    assert same(parts[0].recombine(parts, np.array([[2.0, 0, 1, 0]]))[0], observe(probs[rows], labels[rows]))


@pytest.mark.parametrize("observe", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_tallies_do_not_grow_and_pickle(observe):
    def size(n):
        tally = observe(*table(0, n=n))
        return sum(np.size(x) for x in astuple(tally))

    if not isinstance(observe(*table(0)), Ranking):  # exact up to its capacity; its bound has a test of its own
        assert size(1000) == size(10)
    tally = observe(*table(0))
    assert same(pickle.loads(pickle.dumps(tally)), tally)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_readings_stay_in_range_and_ignore_names_and_order(name, seed, ties):
    metric = METRICS[name]
    probs, labels = table(seed, ties=ties)
    value = metric.read(metric.observe(probs, labels))
    assert np.isnan(value) or metric.span[0] <= value <= metric.span[1]
    rng = np.random.default_rng(seed)
    rename, shuffle = rng.permutation(4), rng.permutation(40)
    other = metric.read(metric.observe(probs[shuffle], labels[shuffle]))
    assert other == pytest.approx(value, nan_ok=True, abs=1e-12)
    if not ties:  # among equals the first class counts as predicted, so names matter there
        other = metric.read(metric.observe(probs[:, rename], rename.argsort()[labels]))
        assert other == pytest.approx(value, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("seed", "ties"), [(0, False), (1, True), (2, True)])
def test_intervals_stay_in_range_around_the_reading(name, seed, ties):
    metric = METRICS[name]
    reading = measure([table(seed, ties=ties)], [metric], floors=False)[name]
    assert np.isnan(reading.low) or metric.span[0] <= reading.low <= reading.value <= reading.high <= metric.span[1]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_perfect_and_certain_is_perfect(name, dtype):
    probs, labels = np.eye(3, dtype=dtype), np.arange(3)
    value = METRICS[name].read(METRICS[name].observe(probs, labels))
    best = 1.0 if "pvalue" in name else {"accuracy": 1.0, "auroc": float("nan")}.get(name, 0.0)
    assert value == pytest.approx(best, nan_ok=True, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_certain_and_always_wrong_is_worst(name):
    probs, labels = np.eye(3), np.array([1, 2, 0])
    value = METRICS[name].read(METRICS[name].observe(probs, labels))
    worst = {"accuracy": 0, "nll": 708.4, "brier": 2, "classwise_ece": 2 / 3, "ks_classwise": 1 / 3, "ks_second": 2 / 3}
    worst |= {"auroc": float("nan"), "ks_within_two": 1 / 3}
    expected = 0.0 if "pvalue" in name else worst.get(name, 1.0)
    assert value == pytest.approx(expected, nan_ok=True, abs=0.1)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("probs", "labels", "said"),
    [
        ([[2.0, -1.0], [0.5, 0.5]], [0, 1], "row 0 is not a distribution .*look like logits"),
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 1], "row 1 holds nan"),
        ([[0.5, 0.5], [0.5, np.inf]], [0, 1], "row 1 holds inf"),
        ([[0.5, 0.5]], [2], "row 0 is 2, outside 0 to 1"),
        ([[0.5, 0.5]], [-1], "row 0 is -1"),
        ([[0.5, 0.5]], [0, 1], "1 rows of scores but 2 labels"),
        (np.zeros((0, 3)), [], "has no rows"),
        ([[1.0], [1.0]], [0, 0], "at least two classes"),
        ([0.5, 0.5], [0, 1], "must have shape"),
        ([[0.5, 0.5]], [0.5], "whole number"),
        ([["a", "b"]], [0], "must be numbers"),
        ([[0.5, 0.5], [1.0]], [0, 1], "rectangular"),
        ([[0.5, 0.5]], [[0]], "one class index a sample"),
    ],
)
def test_the_door_says_what_is_wrong(name, probs, labels, said):
    with pytest.raises(InputError, match=said):
        METRICS[name].observe(probs, labels)


def calibrated(seed, n, k=5, sharpness=2.0):
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, k))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probs, (probs.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)


@pytest.mark.parametrize("name", [n for n in ALL if METRICS[n].better != "none"])
def test_floor_is_what_a_calibrated_model_shows(name):
    probs, labels = calibrated(0, 1500)
    reading = measure([(probs, labels)], [METRICS[name]])[name]
    fresh = []
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        drawn = (probs.cumsum(1) < rng.random((1500, 1))).sum(1).clip(max=4)
        fresh.append(METRICS[name].read(METRICS[name].observe(probs, drawn)))
    error = np.std(fresh) * np.sqrt(1 / 40 + 1 / 50)
    assert abs(reading.floor - np.mean(fresh)) < 4 * error
    assert reading.floor_high > reading.floor


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "smooth_ece")) for name in ALL]
)
def test_interval_is_as_wide_as_fresh_test_sets_scatter(name):
    if METRICS[name].interval == "none":
        pytest.skip("an extreme of bins, or uniform by nature: no bootstrap gives its scatter")
    fresh, widths = [], []
    for seed in range(40):
        probs, labels = calibrated(seed, 800)
        probs = probs**1.7 / (probs**1.7).sum(1, keepdims=True)  # over-confident
        fresh.append(METRICS[name].read(METRICS[name].observe(probs, labels)))
        if seed < 8:
            reading = measure([(probs, labels)], [METRICS[name]], floors=False, seed=seed)[name]
            assert reading.low <= reading.value <= reading.high
            widths.append(reading.high - reading.low)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(fresh, ddof=1), rel=0.35)
