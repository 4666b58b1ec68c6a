"""Stored zeros take no mass: doing nothing leaves every number as it is, and no map makes its own rows worse."""

import numpy as np
import pytest

from surefoot.core.precision import LogProbs
from surefoot.core.predictions import Predictions
from surefoot.metrics import STANDARD, measure
from surefoot.recalibrate import CALIBRATORS

LIKELIHOOD = ["none", "temperature", "temperature-grid-nll", "temperature-ensemble", "vector", "matrix", "dirichlet"]
LIKELIHOOD += ["structured", "temperature-parameterized", "auto"]


def rounded(k=50, decimals=2, n=200, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k)) * 3
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = (z + rng.gumbel(size=z.shape)).argmax(1)
    p = np.round(p, decimals)
    p[np.arange(n), p.argmax(1)] += 1 - p.sum(1)
    return Predictions(np.round(p, decimals), "probs", y)


def readings(scored, labels):
    return {k: r.value for k, r in measure([(scored, labels)], STANDARD, intervals=False, floors=False).items()}


def test_doing_nothing_changes_nothing():
    table = rounded()
    assert (table.scores[np.arange(table.n), table.labels] == 0).any()
    made = CALIBRATORS["none"]().fit(table.logits(), table.labels)
    assert np.allclose(made.predict_proba(table.logits()), table.scores, atol=1e-15)
    after = readings(made.predict_scored(table.logits()), table.labels)
    assert after == pytest.approx(readings(table.scored(), table.labels), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", LIKELIHOOD)
def test_no_map_makes_its_own_rows_worse(name):
    table = rounded(6, 1)
    before = readings(table.scored(), table.labels)["nll"]
    made = CALIBRATORS[name]().fit(table.logits(), table.labels)
    assert readings(made.predict_scored(table.logits()), table.labels)["nll"] <= before * (1 + 1e-8)


def test_what_is_computed_from_them_is_plain_and_parts_know():
    logs = rounded().logits()
    part = logs[3:5]
    assert isinstance(logs, LogProbs)
    assert isinstance(part, LogProbs)
    assert part.floor == logs.floor == 0.01
    assert type(3 * logs) is np.ndarray
