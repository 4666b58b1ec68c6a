"""Tables show all there is."""

from models_that_err import sample
from surefoot.evaluate.comparison import compare
from surefoot.evaluate.diagnosis import percent
from surefoot.evaluate.evaluation import evaluate
from surefoot.report.readings import readings_table, show
from surefoot.report.tables import comparison_tables


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
