"""Dividing rows, curves, JSON."""

import json

import numpy as np
import pytest

from models_that_err import sample
from surefoot.core.errors import InputError
from surefoot.core.plain import plain
from surefoot.core.predictions import Predictions
from surefoot.evaluate.evaluation import curve_of, divide, evaluate
from surefoot.metrics import observe_confidence


def test_dividing_uses_parts_or_a_file_or_halves():
    table = sample()
    fitted, tested = divide(table, None)
    assert set(fitted.parts) == {"validation"}
    assert set(tested.parts) == {"test"}
    bare = Predictions(table.scores, "logits", table.labels)
    fitted, tested = divide(bare, None)
    assert fitted.n + tested.n == table.n
    assert len(np.unique(np.r_[fitted.scores[:, 0], tested.scores[:, 0]])) == table.n  # no row in both
    assert divide(bare, fitted)[1] is bare
    with pytest.raises(InputError, match="has 3 classes"):
        divide(bare, Predictions(np.zeros((5, 3)), "logits", np.zeros(5, int)))
    with pytest.raises(InputError, match="validation and test"):
        divide(Predictions(table.scores, "logits", table.labels, np.full(table.n, "train")), None)
    with pytest.raises(InputError, match="one row"):
        divide(bare.rows(np.array([0])), None)


def test_curve_has_exact_binomial_intervals():
    curve = curve_of(observe_confidence([0.9] * 10 + [0.5], [1] * 8 + [0] * 2 + [1]))
    assert curve.count == (1, 10)
    assert curve.accuracy == (1.0, 0.8)
    assert curve.accuracy_low[1] == pytest.approx(0.4439, abs=1e-4)  # Clopper and Pearson, 8 of 10
    assert curve.accuracy_high[1] == pytest.approx(0.9748, abs=1e-4)
    assert (curve.accuracy_low[0], curve.accuracy_high[0]) == pytest.approx((0.025, 1.0))


def test_plain_is_json():
    evaluation, _ = evaluate(sample(n=40))
    assert json.loads(json.dumps(plain(evaluation), allow_nan=False))["before"]["n"] == 20


def test_what_auto_chose_is_what_the_page_names():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2000, 3))
    table = Predictions(3 * truth, "logits", (truth + rng.gumbel(size=truth.shape)).argmax(1))
    evaluation, calibrator = evaluate(table, "auto")
    assert evaluation.method == calibrator.method_ == "temperature"
    assert evaluation.after.readings["ece"].value < evaluation.before.readings["ece"].value
