"""Means over rows, and AUROC, against scikit-learn."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from probability_tables import table
from surefoot.metrics.proper import observe_scores, read_accuracy, read_brier, read_nll, read_spiegelhalter_pvalue
from surefoot.metrics.ranking import (
    observe_ranked_confidence,
    read_auroc,
)


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed):
    probs, labels = table(seed)
    scores = observe_scores(probs, labels)
    assert read_nll(scores) == pytest.approx(log_loss(labels, probs))
    assert read_brier(scores) == pytest.approx(brier_score_loss(labels, probs))
    assert read_accuracy(scores) == (probs.argmax(1) == labels).mean()
    confidence = probs.max(1).round(1)  # with ties
    correct = probs.argmax(1) == labels
    assert read_auroc(observe_ranked_confidence(confidence, correct)) == pytest.approx(
        roc_auc_score(correct, confidence)
    )


def test_spiegelhalter_for_two_classes_is_the_textbook_formula():
    rng = np.random.default_rng(0)
    p = rng.random(300)
    y = rng.random(300) < p**1.2
    z = ((y - p) * (1 - 2 * p)).sum() / np.sqrt(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    tally = observe_scores(np.stack([1 - p, p], 1), y.astype(int))
    assert read_spiegelhalter_pvalue(tally) == pytest.approx(2 * norm.sf(abs(z)))


def test_spiegelhalter_rejects_as_often_as_it_says():
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(600):
        probs = rng.dirichlet([0.5, 0.5, 0.5], size=300)
        labels = (probs.cumsum(1) < rng.random((300, 1))).sum(1).clip(max=2)
        rejected += read_spiegelhalter_pvalue(observe_scores(probs, labels)) < 0.05
    assert 0.03 < rejected / 600 < 0.08
