"""Columns are matched to classes by their numbers, whatever their place and form."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.core.tables import load_predictions


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(12)), stem=st.sampled_from(["prob_", "logit_", "Probs-", "p"]))
def test_columns_of_classes_may_stand_in_any_order(tmp_path, order, stem):
    """Also in that of a program that sorts names: prob_0, prob_1, prob_10, prob_11, prob_2."""
    scores = np.random.default_rng(0).dirichlet(np.ones(12), size=3) * (10 if stem == "logit_" else 1)
    rows = [",".join([*(repr(float(row[j])) for j in order), "3"]) for row in scores]
    names = ",".join([*(f"{stem}{j}" for j in order), "label"])
    (tmp_path / "p.csv").write_text("\n".join([names, *rows]) + "\n")
    loaded = load_predictions(tmp_path / "p.csv", kind="probs" if stem == "p" else None)
    assert np.array_equal(loaded.scores, scores)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("prob_0,prob_1,prob_13", "needed as prob_0 to prob_2, in any order, got prob_0, prob_1, prob_13"),
        ("prob_1,prob_2,prob_3", "needed as prob_0 to prob_2"),
        ("prob_0,prob_1,prob_01", "needed as prob_0 to prob_2"),
        ("prob_0,prob_1,prob_other", "needed as prob_0 to prob_2"),
        ("prob_0,prob_1,prob_1", "'prob_1' is there twice"),
    ],
)
def test_columns_that_do_not_name_each_class_once_are_refused(tmp_path, columns, said):
    (tmp_path / "p.csv").write_text(f"{columns},label\n0.5,0.25,0.25,1\n")
    with pytest.raises(InputError, match=said):
        load_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize(
    "name", ["prob_{} ", " prob_{}", "prob_{}.0", "prob[{}]", "prob({})", "Prob_[{}]", "probs_{}.00"]
)
def test_a_class_is_told_by_its_number_in_whatever_form(tmp_path, name):
    names = ",".join([*(name.format(j) for j in (2, 0, 1)), " label"])
    (tmp_path / "p.csv").write_text(f"{names}\n0.500,0.30,0.2,0\n0.125,0.875,0.000,1\n")
    loaded = load_predictions(tmp_path / "p.csv")
    assert loaded.scores.tolist() == [[0.3, 0.2, 0.5], [0.875, 0.0, 0.125]]
    assert loaded.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "name", ["prob_{}.5", "prob{{{}}}", "prob<{}>", "prob_-{}", "prob_{}_", "prob:{}:", "prob_{}.0.5"]
)
def test_a_number_in_a_form_that_is_not_known_is_refused(tmp_path, name):
    names = ",".join(name.format(j) for j in (2, 1, 3))
    (tmp_path / "p.csv").write_text(f"{names},label\n0.5,0.25,0.25,1\n")
    with pytest.raises(InputError, match=r"3 columns of scores are needed as prob[_-]?0 to prob[_-]?2"):
        load_predictions(tmp_path / "p.csv")


def test_columns_that_are_called_after_classes_stay_in_their_order(tmp_path):
    (tmp_path / "p.csv").write_text("prob_dog,prob_cat2,label\n0.75,0.25,1\n")
    assert load_predictions(tmp_path / "p.csv").scores.tolist() == [[0.75, 0.25]]
