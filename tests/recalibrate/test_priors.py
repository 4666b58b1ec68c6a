"""Other priors: exact where only they differ, and found without labels."""

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.core.numerics import softmax
from surefoot.recalibrate import Identity, load_calibrator, save_calibrator
from surefoot.recalibrate.priors import estimate_priors, with_priors

HERE, THERE = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])


def place(priors, n, seed):
    """Draw rows whose class has these priors, and their true log posterior under the priors HERE."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=priors)
    x = rng.normal(size=(n, 2)) + np.array([[0, 0], [1.5, 0], [0, 1.5]])[labels]
    centres = np.array([[0, 0], [1.5, 0], [0, 1.5]])
    likelihood = -((x[:, None] - centres) ** 2).sum(2) / 2
    return likelihood, labels


def test_new_priors_give_the_true_posterior_and_are_found_without_labels(tmp_path):
    likelihood, _ = place(THERE, 20_000, 0)
    here = likelihood + np.log(HERE)
    fitted = Identity().fit(here[:5], [0, 1, 2, 0, 1])
    moved = with_priors(fitted, HERE, THERE)
    assert np.allclose(moved.predict_proba(here), softmax(likelihood + np.log(THERE)), atol=1e-12)
    assert np.array_equal(fitted.predict_proba(here), softmax(here))  # the first calibrator is as it was
    found = estimate_priors(fitted.predict_proba(here), HERE)
    assert np.abs(found - THERE).max() < 0.02
    save_calibrator(moved, tmp_path / "map.json")
    assert np.array_equal(load_calibrator(tmp_path / "map.json").predict_proba(here), moved.predict_proba(here))


@pytest.mark.parametrize("priors", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.2, 0.2, 0.2], [np.nan, 0.5, 0.5], [1.0, 0.0, 0.0]])
def test_what_are_no_shares_is_refused(priors):
    fitted = Identity().fit([[0.0, 1.0, 2.0]], [0])
    with pytest.raises(InputError, match="must be 3 numbers that sum to 1"):
        with_priors(fitted, priors, THERE)
    with pytest.raises(InputError, match="must be 3 numbers that sum to 1"):
        estimate_priors([[0.2, 0.3, 0.5]], priors)
