"""How readings are printed."""

import pytest

from surefoot.metrics import Reading
from surefoot.report.readings import show, show_floor


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
