"""Means over rows, and AUROC, against scikit-learn."""

import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from probability_tables import table
from surefoot.metrics.proper import observe_scores, read_accuracy, read_brier, read_nll
from surefoot.metrics.ranking import (
    observe_ranked_confidence,
    read_auroc,
)


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
