"""What is said in words must follow from the rows."""

from dataclasses import replace

import numpy as np
import pytest

from cases import first
from models_that_err import sample
from surefoot.core.predictions import Predictions
from surefoot.evaluate.diagnosis import TESTS, advice, diagnose, direction, notes, rejecting, rejecting_besides
from surefoot.evaluate.evaluation import evaluate, measure_all
from surefoot.metrics import METRICS
from surefoot.recalibrate import TemperatureScaling


@pytest.mark.parametrize(
    ("temperature", "expected"), [(0.4, "over-confident"), (1.0, "indistinguishable"), (2.5, "under-confident")]
)
def test_verdict_names_the_direction_and_the_cure(temperature, expected):
    evaluation, calibrator = evaluate(sample(temperature), title="m")
    assert direction(evaluation.before) == expected
    assert isinstance(calibrator, TemperatureScaling)
    assert calibrator.temperature_ == pytest.approx(1 / temperature, rel=0.15)
    told = diagnose(evaluation.before)
    if expected == "indistinguishable":
        assert "indistinguishable from a perfectly calibrated one" in told
        assert "as they are" in advice(evaluation) or "Nothing must be done" in advice(evaluation)
    else:
        assert f"is {expected}" in told
        assert advice(evaluation).startswith("Apply the temperature calibrator")
        assert "indistinguishable from perfect calibration" in advice(evaluation)
    for sentence in (told, advice(evaluation)):
        assert "nan" not in sentence


@pytest.mark.parametrize(("models", "most"), first(1, [(5, 1), (12, 3)]))
def test_calibrated_models_are_rarely_accused(models, most):
    tested = [sample(rows=s, n=800).part("test") for s in range(models)]
    accused = sum(direction(measure_all(t.scored(), t.labels)) != "indistinguishable" for t in tested)
    assert accused <= most


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
    assert "neither clearly over- nor under-confident" in diagnose(evaluation.before)


@pytest.mark.parametrize("n", [4, 16, 60])
def test_few_rows_are_said_to_be_too_few(n):
    evaluation, _ = evaluate(sample(n=2 * n, rows=1))
    assert direction(evaluation.before) == "too few rows"
    told = diagnose(evaluation.before)
    assert told.startswith(f"These {n} rows are too few to tell")
    assert advice(evaluation).startswith("Gather more rows")
    assert "nan" not in told + advice(evaluation)
    assert ("95% interval of confidence minus accuracy" in told) == (n >= 10)


def test_rows_without_an_error_do_not_tell_a_sure_model_from_a_calibrated_one():
    evaluation, _ = evaluate(Predictions(np.tile([0.9999, 0.0001], (40, 1)), "probs", np.zeros(40, dtype=int)))
    assert evaluation.before.readings["ece"].floor_high < 0.01
    assert direction(evaluation.before) == "too few rows"


def said(probs, labels):
    return diagnose(measure_all(probs, labels))


def test_no_bound_of_the_true_error_is_claimed_that_is_only_what_chance_shows():
    """Accuracy 0.95, claimed 0.98: the true ECE is 3%, more than a calibrated model shows by chance at this size."""
    for seed in range(8):
        labels = (np.random.default_rng(seed).random(400) >= 0.95).astype(int)
        told = said(np.tile([0.98, 0.02], (400, 1)), labels)
        assert "leaves room" not in told
        assert "by chance" in told


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_below_ten_rows_nothing_is_told(n):
    told = said(np.tile([0.99, 0.01], (n, 1)), np.ones(n, dtype=int))
    assert told.startswith(f"These {n} rows are too few to tell")


def test_what_chance_shows_is_never_about_more_than_up_to_less():
    measured = measure_all(np.tile([0.99, 0.01], (20, 1)), np.zeros(20, dtype=int))
    ece = measured.readings["ece"]
    rare = replace(measured, readings=measured.readings | {"ece": replace(ece, floor=0.018, floor_high=0.01)})
    assert "would show up to 1% in 95 of 100 tables of this size by chance" in diagnose(rare)


def like_calibrated(n=50):
    """Return what was measured of rows that no test rejects."""
    measured = measure_all(np.tile([0.87, 0.13], (n, 1)), (np.arange(n) % 8 == 0).astype(int))
    kept = {name: replace(r, pvalue=0.5 if r.pvalue == r.pvalue else r.pvalue) for name, r in measured.readings.items()}
    kept |= {name: replace(kept[name], value=0.5) for name in ("ks_pvalue", "spiegelhalter_pvalue")}
    return replace(measured, readings=kept)


def with_(measured, name, **changed):
    return replace(measured, readings=measured.readings | {name: replace(measured.readings[name], **changed)})


def test_a_leaning_that_is_not_beyond_chance_is_said_to_be_one():
    told = diagnose(with_(like_calibrated(), "overconfidence", value=-0.131, low=-0.242, high=-0.0197))
    assert "-24.2% to -1.97%, which leans towards under-confidence, but" in told


@pytest.mark.parametrize("name", ["ece", "ks", "spiegelhalter_pvalue", "overconfidence"])
def test_the_verdict_rests_on_each_of_four_tests(name):
    measured = like_calibrated()
    assert rejecting(measured) == []
    far = {"value": 0.001} if name.endswith("pvalue") else {"pvalue": 0.001}
    far = {"value": 0.1, "low": 0.05, "high": 0.15} if name == "overconfidence" else far
    rejected = with_(measured, name, **far)
    if name == "ks":
        assert rejecting(rejected) == []  # the KS test must say so, too
        rejected = with_(rejected, "ks_pvalue", value=0.001)
    assert rejecting(rejected) == [name]
    assert direction(rejected) in ("miscalibrated", "over-confident")
    assert f"{TESTS[name]} rejects calibration (4 tests at 5%" in diagnose(rejected)


@pytest.mark.parametrize("name", ["ece", "ada_ece", "classwise_ece", "ks", "spiegelhalter_pvalue"])
def test_no_reading_beside_the_sentence_contradicts_it(name):
    """What would reject alone, but not after the correction for four tests, is named."""
    near = {"value": 0.03} if name.endswith("pvalue") else {"pvalue": 0.03}
    measured = with_(like_calibrated(400), name, **near)
    told = diagnose(measured)
    assert "indistinguishable from a perfectly calibrated one by ECE, KS error, Spiegelhalter's test and" in told
    assert f"; read alone, {TESTS.get(name) or METRICS[name].title} lies beyond" in told
    assert "read alone" not in diagnose(like_calibrated(400))


def test_what_rejects_after_the_correction_is_not_called_one_of_many():
    """Of a p-value of 1.8e-13 nobody says that one of many may be as small: it survives any correction."""
    fine = like_calibrated(400)
    told = diagnose(with_(fine, "classwise_ece", pvalue=1.8e-13))
    assert "the model's top-label confidence is consistent with perfect calibration by ECE, KS error" in told
    assert "but classwise ECE rejects calibration, corrected for the number of readings: the class prob" in told
    assert "as one of many may" not in told
    assert "adaptive ECE rejects calibration" in diagnose(with_(fine, "ada_ece", pvalue=1e-9))
    assert "not calibrated in every bin" in diagnose(with_(fine, "ada_ece", pvalue=1e-9))
    both = diagnose(with_(with_(fine, "classwise_ece", pvalue=1e-9), "mce", pvalue=0.04))
    assert both.endswith("read alone, MCE lies beyond what 95 of 100 calibrated models show, as one of many may.")
    assert rejecting_besides(replace(with_(fine, "classwise_ece", pvalue=1e-9), n=9)) == []


def uneven(n=6000):
    """Return logits, twice too large, of a model that is right about its answer and wrong about the other classes."""
    rng = np.random.default_rng(0)
    top, rest = rng.uniform(0.5, 0.95, size=n), np.array([0.5, 0.3, 0.2])
    truth = np.c_[top, (1 - top)[:, None] * rest]
    labels = (truth.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=3)
    return Predictions(2 * np.log(np.c_[top, np.repeat((1 - top)[:, None] / 3, 3, 1)]), "logits", labels)


def test_what_a_temperature_cannot_repair_is_named_with_what_can():
    told = advice(evaluate(uneven())[0])
    assert "top-label confidence is then consistent with perfect calibration" in told
    assert "classwise ECE" in told
    assert "rejects calibration" in told or "reject calibration" in told
    assert told.endswith("; try vector, dirichlet or isotonic, which change each class's probabilities by themselves.")
    assert "indistinguishable" not in told
    vector = advice(evaluate(uneven(), "vector")[0])
    assert "what is left is indistinguishable from perfect calibration" in vector
    chosen = replace(evaluate(uneven())[0], chosen=True)
    assert advice(chosen).endswith(
        "no calibrator that was tried does better: more held-out rows, or another model, may."
    )


@pytest.mark.parametrize(("temperature", "n"), [(1.0, 800), (0.8, 300)])
@pytest.mark.parametrize("seed", first(3, range(6)))
def test_verdicts_follow_from_the_readings_whatever_the_rows(temperature, n, seed):
    tested = sample(temperature, rows=seed, n=n).part("test")
    measured = measure_all(tested.scored(), tested.labels)
    told, r = diagnose(measured), measured.readings
    beyond = [m for m, reading in r.items() if reading.value > reading.floor_high and METRICS[m].better == "lower"]
    if direction(measured) == "indistinguishable":
        assert all(METRICS[m].title in told.split("read alone")[-1] for m in beyond)
        assert (r["spiegelhalter_pvalue"].value > 0.05) or "Spiegelhalter" in told.split("read alone")[-1]


@pytest.mark.parametrize(
    ("right", "said"),
    [(1.0, "is wrong: they do not"), (0.0, "is right: they do not"), (0.5, "stopped at a limit of its search range")],
)
def test_notes_say_which_of_the_three_it_is(right: float, said: str) -> None:
    (note,) = notes(None, True, right)
    assert said in note
    assert notes(None, False, right) == []


def test_where_no_map_was_asked_for_none_was_tried():
    asked, _ = evaluate(sample(0.4), "none")
    assert "held-out rows prefer temperature" in advice(asked)
    assert "was tried" not in advice(asked)
    fine, _ = evaluate(sample(1.0), "none")
    assert advice(fine).startswith("Use its probabilities as they are: no calibrator was asked for")
    assert "no calibrator that was tried" in advice(replace(fine, chosen=True))


def test_rows_that_the_map_was_learnt_on_are_not_called_other_rows():
    table = sample(0.4)
    bare = Predictions(table.scores, "logits", table.labels)
    same, _ = evaluate(bare, calibration=bare)
    assert same.shared == bare.n
    assert "other rows" not in advice(same)
    assert f"The {bare.n:,} rows measured are among those that it was learnt on" in advice(same)
    half, _ = evaluate(bare, calibration=bare.rows(np.arange(100)))
    assert f"100 of {bare.n:,} rows measured are among" in advice(half)
    apart, _ = evaluate(table, calibration=table)  # its test part is not learnt
    assert (apart.shared, apart.fitted_on) == (0, table.part("validation").n)
    assert "other rows" in advice(apart)
