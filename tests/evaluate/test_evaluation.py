"""Dividing rows, curves, JSON."""

import json
from dataclasses import astuple

import numpy as np
import pytest

from models_that_err import sample
from surefoot.core.errors import InputError
from surefoot.core.plain import plain
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions
from surefoot.evaluate.evaluation import curve_of, divide, evaluate
from surefoot.evaluate.measuring import MeasurementPlan, measure_table
from surefoot.metrics import STANDARD, observe_confidence
from surefoot.recalibrate import Auto


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


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_part_reads_the_same_in_every_command(kind, seed, tmp_path):
    """What is drawn for a row depends on its number in the table, not on the part that is measured."""
    table = sample(n=300)
    shuffled = table.rows(np.random.default_rng(seed).permutation(table.n))
    if kind == "probs":
        shuffled = Predictions(shuffled.probs().astype(np.float32), kind, shuffled.labels, shuffled.split)
    save_predictions(shuffled, tmp_path / "t.parquet")
    evaluation, calibrator = evaluate(load_predictions(tmp_path / "t.parquet"), seed=seed)
    for measured, applied in ((evaluation.before, None), (evaluation.after, calibrator)):
        plan = MeasurementPlan(STANDARD, "test", calibrator=applied, seed=seed)
        group = measure_table(tmp_path / "t.parquet", plan)[""]
        for name, reading in measured.readings.items():
            same = group.readings[name]
            assert same.note == reading.note
            both = [[v for v in astuple(r) if isinstance(v, float)] for r in (same, reading)]
            assert both[0] == pytest.approx(both[1], rel=1e-9, nan_ok=True), name


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
    assert isinstance(calibrator, Auto)
    assert evaluation.method == calibrator.method_ == "temperature"
    assert evaluation.after.readings["ece"].value < evaluation.before.readings["ece"].value
