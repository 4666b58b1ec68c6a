"""Verdicts on published numbers, and what paired tests say of the paper's claim."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_that_err import sample
from surefoot.evaluate.comparison import compare
from surefoot.evaluate.reproduction import claims_of, entries, judge, values_of


@given(
    mean=st.floats(0, 50), sides=st.tuples(st.floats(0, 20), st.floats(0, 20)), target=st.floats(0, 50),
    tolerance=st.floats(0.01, 5),
)  # fmt: skip
def test_a_verdict_follows_from_where_the_interval_lies(mean, sides, target, tolerance):
    low, high = mean - sides[0], mean + sides[1]
    inside = target - tolerance <= low and high <= target + tolerance
    outside = low > target + tolerance or high < target - tolerance
    verdict = judge(mean, low, high, target, tolerance)
    assert (verdict == "reproduced") == inside
    assert (verdict == "not reproduced") == outside
    assert judge(mean, low, high, None, tolerance) == "no published number"
    assert judge(mean, low, high, target, tolerance, same_recipe=False) == "another recipe"


def test_one_run_is_judged_by_its_number_alone():
    assert judge(4.4, float("nan"), float("nan"), 4.35, 0.3) == "reproduced"


def test_a_table_and_its_claims_come_from_a_comparison():
    good, bad = [[sample(t, seed=s, noise=0.1) for s in range(3)] for t in (1.0, 0.4)]
    comparison = compare({"ce": bad, "fl-3": good, "flsd-53": good})
    values = values_of(comparison, "ece")
    assert values["ce"]["before"][0] == pytest.approx(100 * comparison.rows[0].before["ece"].mean)
    rows = entries("ece", "cifar10", "resnet50", values, same_recipe=True)
    assert [r.verdict for r in rows if r.loss == "ce" and r.stage == "before"] == ["not reproduced"]
    assert all(r.published is None for r in entries("ece", "cifar10", "resnet50", values, True, comparable=False))
    claims = claims_of(comparison, ("fl-3", "flsd-53"), ("ce", "brier"))
    assert len(claims) == 4  # two challengers, one baseline that was trained, before and after
    before = [c.sentence for c in claims if c.stage == "before"]
    assert all("the claim holds here" in sentence for sentence in before)
    turned = claims_of(comparison, ("ce",), ("fl-3",))
    assert "the claim fails here" in turned[0].sentence
    twins = claims_of(comparison, ("fl-3",), ("flsd-53",))
    assert all("no significant difference" in c.sentence for c in twins)
