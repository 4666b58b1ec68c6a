"""Measuring: batches, seeds, drawn labels."""

import math

import numpy as np
import pytest
import torch

from probability_tables import table
from surefoot.metrics import METRICS
from surefoot.metrics.uncertainty import draw_labels, measure


def test_drawn_labels_follow_their_rows():
    rng = np.random.default_rng(0)
    probs = np.tile([0.2, 0.0, 0.7, 0.1], (20000, 1))
    shares = np.bincount(next(draw_labels(probs, rng, 1)), minlength=4) / 20000
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
