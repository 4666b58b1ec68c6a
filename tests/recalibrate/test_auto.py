"""Choosing: nothing where nothing helps, the simplest that is as good as the best, and a reason."""

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.recalibrate import Auto, TemperatureScaling, choose, decompose
from surefoot.recalibrate.auto import LADDER


def sample(seed, n=1500, k=4):
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, k))
    return logits, (logits + rng.gumbel(size=(n, k))).argmax(1)


def test_it_leaves_calibrated_models_alone():
    chosen = [Auto().fit(*sample(seed)).method_ for seed in range(12)]
    assert chosen.count("none") >= 9


def test_it_takes_what_the_distortion_calls_for_and_says_why():
    logits, labels = sample(0, 4000)
    sharp = Auto().fit(3 * logits, labels)
    assert sharp.method_ == "temperature"
    assert sharp.keeps_accuracy
    assert "held-out NLL" in sharp.why_
    shifted = Auto(by="brier").fit(2 * logits + [2.0, 0.0, -1.0, 0.0], labels)
    assert shifted.method_ in ("vector", "structured")
    assert not shifted.keeps_accuracy
    assert "held-out Brier score" in shifted.why_


def test_maps_that_refuse_are_named_and_few_rows_choose_nothing():
    found = Auto().fit(*sample(1, 60))
    assert "at least 200 rows" in found.why_not_["spline"]
    few = Auto().fit(*sample(1, 6))
    assert few.method_ == "none"
    assert "too few" in few.why_
    assert choose({"none": LADDER["none"]}, *sample(1, 60)).method == "none"


def test_a_score_is_refinement_and_calibration():
    logits, labels = sample(2, 3000)
    calibrated, sharp = decompose(logits, labels), decompose(3 * logits, labels)
    assert calibrated.calibration < 0.01
    assert sharp.calibration > 0.2
    assert sharp.refinement == pytest.approx(calibrated.refinement, abs=0.01)
    assert sharp.score == pytest.approx(sharp.refinement + sharp.calibration)
    held = TemperatureScaling().fit(3 * logits[:1500], labels[:1500]).predict_proba(3 * logits[1500:])
    nll = -np.log(held[np.arange(1500), labels[1500:]]).mean()
    assert sharp.refinement == pytest.approx(nll, abs=0.05)
    with pytest.raises(InputError, match="ten rows"):
        decompose(logits[:5], labels[:5])
