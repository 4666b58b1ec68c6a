"""The calibrator that is recommended is the one that heals, and none where nothing is ill."""

import numpy as np
import pytest

from models_that_err import sample
from surefoot.core.predictions import Predictions
from surefoot.evaluate.remedy import find_remedy, maps_for, recommend
from surefoot.recalibrate import InverseFocal


def focal_trained(gamma, n=6000, seed=0):
    """Return predictions at the population optimum of focal loss: logits whose undoing is the truth."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 30, 6001)
    undone = InverseFocal(gamma).fit([[0.0, 2.0]], [0]).predict_proba(np.c_[grid, np.zeros_like(grid)])[:, 0]
    truth = rng.beta(4, 0.4, size=n).clip(0.5, 1 - 1e-6)
    sign = np.where(rng.random(n) < 0.5, 1, -1)
    z = sign * np.interp(truth, undone, grid)
    first = np.where(sign > 0, truth, 1 - truth)
    labels = (rng.random(n) > first).astype(int)
    return Predictions(np.c_[z, np.zeros(n)], "logits", labels, None, None, {"loss": f"fl-{gamma:g}"})


def test_a_calibrated_model_is_left_alone_and_a_distorted_one_is_scaled():
    assert find_remedy(sample(1.0)).method == "none"
    assert find_remedy(sample(0.4)).method == "temperature"
    assert find_remedy(sample(2.5)).method == "temperature"


def test_what_focal_did_is_undone_by_its_own_map():
    remedy = find_remedy(focal_trained(3.0), "fl-3")
    assert remedy.best <= min(remedy.nll.values()) + 1e-3
    assert remedy.nll["focal-undo"] < remedy.nll["none"] - 0.01
    assert remedy.nll["focal-undo"] == pytest.approx(remedy.nll["focal-undo-temperature"], abs=2e-3)


def test_every_loss_is_offered_what_suits_it():
    assert list(maps_for("flsd-53")) == ["none", "temperature", "focal-undo", "focal-undo-temperature"]
    undo = maps_for("flsd-53")["focal-undo"]()
    assert isinstance(undo, InverseFocal)
    assert undo.thresholds == (pytest.approx(0.2),)
    for loss in ("ce", "focal-solved", "adafocal", "my own", ""):
        assert list(maps_for(loss)) == ["none", "temperature"]


def test_a_few_rows_are_enough_not_to_fail():
    assert find_remedy(sample(n=8)).method in ("none", "temperature")


def test_the_loss_that_knows_most_is_recommended_whatever_it_claims():
    parts = {"sure": [sample(0.3, seed=s, noise=0.1) for s in (1, 2, 3)]}
    parts["vague"] = [sample(1.0, seed=s, noise=4.0) for s in (1, 2, 3)]
    found = recommend(parts)
    assert (found.loss, found.method) == ("sure", "temperature")
    assert "next is vague" in found.sentence
    assert "not significantly worse" not in found.sentence
    twins = recommend({name: [sample(seed=10 * i + s, noise=0.3) for s in range(3)] for i, name in enumerate("ab")})
    assert "not significantly worse" in twins.sentence
    assert recommend({"only": [sample()]}).sentence.endswith(").")
