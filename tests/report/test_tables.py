"""Tables show all there is."""

import pytest
from rich.console import Console

from models_that_err import sample
from surefoot.evaluate.comparison import compare
from surefoot.evaluate.diagnosis import percent
from surefoot.evaluate.evaluation import evaluate
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
    console = Console(width=108)
    for table in (before, after):
        assert console.measure(table).maximum <= 108  # all of it fits what `compare` prints on
        console.print(table)
    assert "…" not in capsys.readouterr().out
    assert show("ece", float("nan")) == "–"
    assert percent(0.1234) == "12.3%"
    assert percent(0.01234) == "1.23%"


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
