"""Scores of out-of-distribution inputs against SciPy, AUROC against scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from surefoot.core.errors import InputError
from surefoot.metrics import OOD_SCORES, ood_auroc
from surefoot.metrics.ood import energy, entropy, max_probability


@pytest.mark.parametrize("score", OOD_SCORES)
@pytest.mark.parametrize("ties", [False, True])
def test_auroc_is_scikit_learns(score, ties):
    rng = np.random.default_rng(0)
    known, ood = 3 * rng.normal(size=(200, 4)), rng.normal(size=(150, 4))
    if ties:
        known, ood = known.round(), ood.round()
    scores = np.concatenate([OOD_SCORES[score](known), OOD_SCORES[score](ood)])
    truth = np.repeat([0, 1], [200, 150])
    assert ood_auroc(known, ood, score) == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)


def test_scores_are_their_formulas_also_where_confidence_saturates():
    logits = np.array([[1.0, 2.0, -1.0], [50.0, 0.0, 0.0], [800.0, 0.0, -800.0]])
    p = np.exp(logits[:2] - np.log(np.exp(logits[:2]).sum(1, keepdims=True)))
    assert entropy(logits)[:2] == pytest.approx(stats.entropy(p, axis=1), rel=1e-9)
    assert max_probability(logits)[0] == pytest.approx(1 - p[0].max())
    assert max_probability(logits)[1] == pytest.approx(2 * np.exp(-50), rel=1e-9)  # 1 - p would be 0
    assert energy(logits)[2] == -800
    assert np.isfinite(entropy(logits)).all()


def test_probabilities_are_refused():
    with pytest.raises(InputError, match="these are probabilities"):
        ood_auroc([[0.5, 0.5]], [[0.1, 0.9]])
