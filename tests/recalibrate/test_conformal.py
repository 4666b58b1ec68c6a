"""Conformal sets: their coverage is what they promise, whatever the model."""

import numpy as np
import pytest
from sklearn.base import clone

from surefoot.core.errors import InputError
from surefoot.recalibrate.conformal import CONFORMAL, AdaptiveSets, ConformalSets, RegularizedSets, SplitConformal


def sample(seed, n, k=6, scale=2.0):
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, k))
    return scale * logits, (logits + rng.gumbel(size=(n, k))).argmax(1)  # over-confident by `scale`


@pytest.mark.parametrize("name", CONFORMAL)
@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_coverage_is_as_promised(name, alpha, scale):
    n, covered = 200, []
    for seed in range(120):
        sets = CONFORMAL[name](alpha=alpha).fit(*sample(seed, n, scale=scale))
        logits, labels = sample(10_000 + seed, 100, scale=scale)
        covered.append(sets.predict_set(logits)[np.arange(100), labels].mean())
    error = np.std(covered) / np.sqrt(120)
    assert np.mean(covered) >= 1 - alpha - 3.5 * error
    assert np.mean(covered) <= 1 - alpha + 1 / (n + 1) + 3.5 * error


def test_adaptive_sets_are_larger_for_harder_rows_and_regularized_ones_shorter():
    fitted = sample(0, 4000, k=20, scale=1.0)
    logits, labels = sample(1, 4000, k=20, scale=1.0)
    hard = np.exp(logits).max(1) / np.exp(logits).sum(1) < 0.4
    aps, raps, split = (
        s.fit(*fitted).predict_set(logits) for s in (AdaptiveSets(), RegularizedSets(penalty=0.1), SplitConformal())
    )
    assert aps[hard].sum(1).mean() > 1.3 * aps[~hard].sum(1).mean()
    assert raps.sum(1).max() < aps.sum(1).max()
    assert split.sum(1).mean() < aps.sum(1).mean()
    by_rows = [aps[m][np.arange(m.sum()), labels[m]].mean() for m in (hard, ~hard)]
    assert abs(by_rows[0] - by_rows[1]) < 0.06


@pytest.mark.parametrize("name", CONFORMAL)
def test_too_few_rows_rule_nothing_out_and_settings_are_checked(name):
    made = CONFORMAL[name]
    assert made(alpha=0.1).fit([[2.0, 0.0]] * 5, [0] * 5).predict_set([[9.0, -9.0]]).all()
    copy = clone(made(alpha=0.3))
    assert isinstance(copy, ConformalSets)
    assert copy.get_params()["alpha"] == 0.3
    with pytest.raises(InputError, match="alpha, the share"):
        made(alpha=1.5).fit([[2.0, 0.0]], [0])
    with pytest.raises(InputError, match="fitted on 2 classes, got logits of 3"):
        made().fit([[2.0, 0.0]], [0]).predict_set([[1.0, 2.0, 4.0]])
