"""Tables show all there is."""

import pytest

from models_that_err import sample
from surefoot.evaluate.comparison import compare
from surefoot.evaluate.diagnosis import percent
from surefoot.evaluate.evaluation import evaluate
from surefoot.metrics import Reading
from surefoot.report.page import reading_cells
from surefoot.report.readings import readings_table, show, show_floor
from surefoot.report.tables import comparison_tables, with_interval


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


def test_a_p_value_is_never_0():
    assert show("ks_pvalue", 0.0) == show("spiegelhalter_pvalue", 4e-5) == "<0.0001"
    assert show("ks_pvalue", 0.00006) == "0.0001"


@pytest.mark.parametrize(
    ("name", "floor", "high", "shown"),
    [
        ("ece", 0.018234, 0.026123, "1.8% (≤ 2.6%)"),
        ("ece", 0.0004567, 0.0006123, "0.046% (≤ 0.061%)"),
        ("ece", 0.0182, 0.0091, "≤ 0.91% (95%; mean 1.8%)"),
        ("nll", 0.23456, 0.24123, "0.235 (≤ 0.241)"),
        ("accuracy", 0.99734, 0.99912, "99.7% (≤ 99.9%)"),
        ("ece", 0.0, 0.0, "0% (≤ 0%)"),
        ("nll", 0.0, -0.0, "0 (≤ 0)"),
        ("nll", 1e-13, -1e-13, "≤ 0 (95%; mean 0)"),
        ("ece", float("nan"), float("nan"), "–"),
    ],
)
def test_floors_have_the_digits_that_their_draws_are_good_for(name, floor, high, shown):
    assert show_floor(name, Reading(0.1, floor=floor, floor_high=high)) == shown


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((0.13612, 0.0921, 0.2519), "0.136 (0.092 to 0.25)"),
        ((2.2171, 2.2019, 2.2323), "2.217 ± 0.015"),
        ((0.9, 0.5, 1.0), "0.900 (0.50 to 1.00)"),
        ((0.1, 0.0, 12.7), "0.100 (0.00 to 13)"),
        ((0.5, float("nan"), float("nan")), "0.500"),
        ((float("nan"),) * 3, "–"),
    ],
)
def test_an_interval_has_two_ends_or_one_half(numbers, shown):
    mean, low, high = numbers
    assert with_interval(mean, low, high, 3) == shown


def test_before_and_after_have_each_their_own_interval_and_floor():
    evaluation, _ = evaluate(sample(0.4))
    before, after = (m.readings["ece"] for m in (evaluation.before, evaluation.after))
    cells = reading_cells("ece", evaluation.before, evaluation.after)
    assert cells[3] == show_floor("ece", before)
    assert cells[6] == show_floor("ece", after)
    assert cells[3] != cells[6]
    assert " to " in cells[2]
    assert " to " in cells[5]
