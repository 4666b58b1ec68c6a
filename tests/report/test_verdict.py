"""What is said in words must follow from the rows."""

import numpy as np
import pytest

from models_that_err import sample
from surefoot.core.predictions import Predictions
from surefoot.report.evaluation import evaluate
from surefoot.report.verdict import advice, diagnosis, direction


@pytest.mark.parametrize(
    ("temperature", "expected"), [(0.4, "over-confident"), (1.0, "indistinguishable"), (2.5, "under-confident")]
)
def test_verdict_names_the_direction_and_the_cure(temperature, expected):
    evaluation, recalibrator = evaluate(sample(temperature), title="m")
    assert direction(evaluation.before) == expected
    assert recalibrator.temperature_ == pytest.approx(1 / temperature, rel=0.15)
    told = diagnosis(evaluation.before)
    if expected == "indistinguishable":
        assert "cannot be told from a perfectly calibrated one" in told
        assert "as they are" in advice(evaluation) or "Nothing must be done" in advice(evaluation)
    else:
        assert f"is {expected}" in told
        assert advice(evaluation).startswith("Apply the temperature map")
        assert "cannot be told from perfect calibration" in advice(evaluation)
    for sentence in (told, advice(evaluation)):
        assert "nan" not in sentence


def test_calibrated_models_are_rarely_accused():
    accused = sum(direction(evaluate(sample(rows=s, n=800))[0].before) != "indistinguishable" for s in range(12))
    assert accused <= 3


def test_focal_underconfidence_points_to_the_undo_map():
    assert "focal-undo" in advice(evaluate(sample(2.5, loss="flsd-53"))[0])
    assert "focal-undo" not in advice(evaluate(sample(2.5, loss="ls"))[0])


def test_over_and_under_at_once_is_named():
    rng = np.random.default_rng(0)
    n = 4000
    sure, right = np.where(np.arange(n) % 2 == 0, 0.95, 0.6), np.where(np.arange(n) % 2 == 0, 0.8, 0.75)
    labels = (rng.random(n) > right).astype(int)
    evaluation, _ = evaluate(Predictions(np.c_[sure, 1 - sure], "probs", labels))
    assert direction(evaluation.before) == "miscalibrated"
    assert "in places" in diagnosis(evaluation.before)
