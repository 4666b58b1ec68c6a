"""Evaluations, verdicts, comparisons, pages: what they say must follow from the rows."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions
from surefoot.metrics import observe_confidence
from surefoot.report.comparison import COLUMNS, compare
from surefoot.report.evaluation import curve_of, divide, evaluate, plain
from surefoot.report.page import write_page
from surefoot.report.tables import comparison_tables, footnote, readings_table, show
from surefoot.report.verdict import advice, diagnosis, direction, percent


def sample(temperature=1.0, n=3000, k=4, seed=0, noise=0.0, rows=0, loss="ce"):
    """Return predictions whose labels follow softmax(temperature * logits): below 1, the model is over-confident."""
    rng = np.random.default_rng(rows)
    truth = 2.0 * rng.normal(size=(n, k))
    labels = (softmax(truth).cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)
    scores = truth / temperature + noise * np.random.default_rng(seed).normal(size=(n, k))
    split = np.where(np.arange(n) % 2 == 0, "validation", "test")
    return Predictions(scores, "logits", labels, split, None, {"loss": loss})


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


def test_a_clear_winner_is_marked_and_equals_are_not():
    good, bad = [sample(1.0, seed=s, noise=0.2) for s in range(3)], [sample(0.4, seed=s, noise=0.2) for s in range(3)]
    comparison = compare({"good": good, "bad": bad})
    rows = {row.loss: row for row in comparison.rows}
    assert rows["good"].before["ece"].best
    assert rows["good"].before["nll"].best
    assert not rows["bad"].before["ece"].best
    twins = compare({"a": good, "b": [sample(1.0, seed=s + 9, noise=0.2) for s in range(3)]})
    marked = [c for row in twins.rows for c in COLUMNS if row.before[c].best or row.after[c].best]
    assert marked == []
    assert "none beats" in footnote(twins)


def test_chance_winners_are_as_rare_as_promised():
    """Nets that differ by noise alone: a mark at 5% two ways round must be rare."""
    marks = 0
    for trial in range(10):
        seeds = {name: [1000 * trial + 10 * i + s for s in range(2)] for i, name in enumerate("abc")}
        tables = {name: [sample(seed=s, noise=0.3, n=400, rows=trial) for s in own] for name, own in seeds.items()}
        comparison = compare(tables)
        marks += any(row.before["nll"].best for row in comparison.rows)
    assert marks <= 2


def test_comparison_refuses_other_rows_and_unequal_seeds():
    with pytest.raises(InputError, match="other rows"):
        compare({"a": [sample()], "b": [sample(rows=1)]})
    with pytest.raises(InputError, match="paired"):
        compare({"a": [sample()], "b": [sample(), sample(seed=1)]})


def test_tables_show_all_and_wide_enough(capsys):
    evaluation, _ = evaluate(sample())
    table = readings_table(evaluation.before.readings, "m")
    assert table.row_count == len(evaluation.before.readings)
    comparison = compare({"a": [sample()], "b": [sample(0.5)]})
    before, after = comparison_tables(comparison)
    assert before.row_count == after.row_count == 3
    assert show("ece", float("nan")) == "–"
    assert percent(0.1234) == "12.3%"
    assert percent(0.01234) == "1.23%"


def test_plain_is_json():
    evaluation, _ = evaluate(sample(n=40))
    assert json.loads(json.dumps(plain(evaluation), allow_nan=False))["before"]["n"] == 20


def browser(page):
    """Return the page's DOM after its scripts ran in headless Chromium, or skip."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the page cannot be opened")
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    return subprocess.run([*command, f"file://{page}"], check=True, capture_output=True, text=True, timeout=120).stdout


def test_the_page_draws_its_figures_in_a_browser(tmp_path):
    evaluations = [evaluate(sample(t), title=f"model {t}")[0] for t in (0.4, 1.0)]
    comparison = compare({"a": [sample(0.4)], "b": [sample()]})
    page = tmp_path / "report.html"
    write_page(page, "A title", evaluations, comparison)
    dom = browser(page)
    assert dom.count('class="main-svg"') >= 4  # Plotly made pictures of all four figures
    bars = [len(e.before.curve.count) + len(e.after.curve.count) for e in evaluations]
    assert dom.count('class="point"') >= 2 * sum(bars)  # each bin: a bar of accuracy and one of rows
    assert dom.count(">100%</text>") >= 4  # and their axes
    body = dom[dom.index("<body") :]
    for words in (*(diagnosis(e.before) for e in evaluations), "noise floor", "adaptive ECE"):
        assert words in body
    shown = json.loads(body.split('id="results">')[1].split("</script>")[0])
    assert shown["evaluations"] == plain(evaluations)


def test_the_page_needs_no_network_and_escapes_what_it_is_given(tmp_path):
    page = tmp_path / "report.html"
    nasty = '</script><script>document.title="owned"</script>'
    table = sample(n=60)
    table.provenance["loss"] = nasty
    evaluation, _ = evaluate(table, title=nasty)
    write_page(page, nasty, [evaluation])
    text = page.read_text()
    assert nasty not in text
    assert 'src="http' not in text
    assert "@import" not in text.split("</style>")[0]
    assert len(text) < 5_200_000
    assert "<title>owned" not in browser(page)
