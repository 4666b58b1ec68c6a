"""Measuring: batches, seeds, drawn labels."""

import math
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probability_tables import table
from surefoot.core.numerics import softmax
from surefoot.metrics import METRICS
from surefoot.metrics.uncertainty import (
    FLOOR_DRAWS,
    FLOOR_RANK,
    MANY_CLASSES_FLOOR_DRAWS,
    MANY_CLASSES_FLOOR_RANK,
    Measuring,
    RowRange,
    draw_labels,
    measure,
    shard_of,
)


def test_drawn_labels_follow_their_rows():
    probs = np.tile([0.2, 0.0, 0.7, 0.1], (20000, 1))
    shares = np.bincount(next(draw_labels(probs, 0, 1)), minlength=4) / 20000
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


@given(cuts=st.lists(st.integers(1, 898), min_size=1, max_size=6, unique=True), seed=st.integers(0, 3))
@settings(max_examples=settings().max_examples // 10)  # each measures twice and in parts
def test_all_numbers_are_the_same_whatever_the_division(cuts, seed):
    probs, labels = table(1, n=900)
    metrics = [m for m in METRICS.values() if m.name != "ks_classwise_pvalue"]  # its tally is ks_classwise's
    edges = [0, *sorted(cuts), 900]
    pieces = [slice(a, b) for a, b in pairwise(edges)]
    whole, parts = Measuring(metrics, seed=seed), []
    whole.add(probs, labels)
    for piece in pieces:
        parts.append(Measuring(metrics, seed=seed))
        parts[-1].add(probs[piece], labels[piece], RowRange(piece.start, piece.stop - piece.start))
    merged = Measuring(metrics, seed=seed)
    for part in np.random.default_rng(seed).permutation(np.array(parts, dtype=object)):
        merged.merge(part)
    found = merged.readings()
    for name, reading in whole.readings().items():
        assert found[name].note == reading.note
        assert astuple(found[name])[:5] == pytest.approx(astuple(reading)[:5], rel=1e-12, abs=1e-12, nan_ok=True)


@given(start=st.integers(0, 10_000), n=st.integers(1, 500))
def test_shards_are_balanced_and_belong_to_the_row(start, n):
    shard = shard_of(7, start, n)
    assert (shard == shard_of(7, 0, start + n)[start:]).all()
    assert np.bincount(shard_of(7, 0, 100 * 5), minlength=100).tolist() == [5] * 100


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_that_equals_the_rows_is_no_less(seed):
    sure = 1 - 1e-6 * np.random.default_rng(seed).random(70)
    metrics = [METRICS[name] for name in ("nll", "brier", "ece", "ks")]
    readings = measure([(np.c_[sure, 1 - sure], np.zeros(70, dtype=int))], metrics, intervals=False, seed=seed)
    assert all(r.floor_high == r.value for r in readings.values())
    assert all(r.pvalue > 0.05 for r in readings.values())


@pytest.mark.parametrize("k", [3, 120])
def test_the_p_value_and_the_95th_percentile_say_the_same(k):
    lower = [m for m in METRICS.values() if m.better == "lower"]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        z = 2 * rng.normal(size=(200, k))
        labels = (z * (0.7 if seed % 2 else 1) + rng.gumbel(size=z.shape)).argmax(1)
        readings = measure([(softmax(z), labels)], [*lower, METRICS["auroc"]], intervals=False, seed=seed)
        for metric in lower:
            r = readings[metric.name]
            assert (r.value > r.floor_high) == (r.pvalue <= 0.05), (metric.name, r)
            assert r.pvalue > 0 or r.value > 2 * r.floor_high
        assert np.isnan(readings["auroc"].pvalue)


@pytest.mark.parametrize(
    ("draws", "rank"),
    [(FLOOR_DRAWS, FLOOR_RANK), (MANY_CLASSES_FLOOR_DRAWS, MANY_CLASSES_FLOOR_RANK)],
)
def test_a_reading_as_likely_as_each_draw_is_beyond_the_rank_once_in_twenty_times(draws, rank):
    assert (draws + 1 - rank) / (draws + 1) == 0.05


@pytest.mark.slow
def test_floors_are_exceeded_by_one_in_twenty_calibrated_models():
    ece, above = METRICS["ece"], 0
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        sure = 0.5 + 0.5 * rng.random(40)
        labels = (rng.random(40) > sure).astype(int)
        reading = measure([(np.c_[sure, 1 - sure], labels)], [ece], intervals=False, seed=seed)["ece"]
        above += reading.value > reading.floor_high
    assert 30 <= above <= 70
