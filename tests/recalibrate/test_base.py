"""What every calibrator is: scikit-learn's checks, and rows that bound none."""

import warnings

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from surefoot.core.errors import InputError
from surefoot.core.scored import Scored
from surefoot.recalibrate import CALIBRATORS, Auto, OneVsRest, Spline, TemperatureScaling, TopLabel
from surefoot.recalibrate.auto import HELD
from surefoot.recalibrate.steps import Affine, Softmax

_CLASSES = "columns are the classes: labels of more, or other, classes than columns are refused"
_MESSAGE = "refused, but our message names row and column, or the shape, in other words"
TYPES = {
    "check_do_not_raise_errors_in_init_or_set_params": "it sets -1 where the tests' own type checks want an object"
}
EXPECTED = TYPES | {
    "check_estimators_overwrite_params": _CLASSES,
    "check_estimators_fit_returns_self": _CLASSES,
    "check_readonly_memmap_input": _CLASSES,
    "check_classifier_data_not_an_array": _CLASSES,
    "check_classifiers_classes": _CLASSES,
    "check_classifiers_one_label": _CLASSES,
    "check_classifiers_train": _CLASSES,
    "check_supervised_y_2d": "labels have one dimension",
    "check_dtype_object": "numbers in an array of objects are refused",
    "check_complex_data": _MESSAGE,
    "check_n_features_in_after_fitting": _MESSAGE,
    "check_estimators_empty_data_messages": _MESSAGE,
    "check_estimators_nan_inf": _MESSAGE,
    "check_estimator_sparse_tag": _MESSAGE,
    "check_estimator_sparse_array": _MESSAGE,
    "check_estimator_sparse_matrix": _MESSAGE,
    "check_classifiers_regression_target": _MESSAGE,
    "check_fit2d_1feature": _MESSAGE,
    "check_fit2d_predict1d": _MESSAGE,
    "check_fit2d_1sample": _MESSAGE,
    "check_requires_y_none": _MESSAGE,
}


@pytest.mark.parametrize("name", [n for n in sorted(CALIBRATORS) if "spline" not in n and "grid" not in n])
def test_recalibrators_pass_the_checks_that_apply(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(CALIBRATORS[name](), expected_failed_checks=EXPECTED)


@pytest.mark.parametrize("make", [OneVsRest, TopLabel])
def test_splines_pass_them_where_rows_suffice(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(make(Spline(least_rows=1)), expected_failed_checks=EXPECTED)


def confident(seed, n=250):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3)) * 0.7
    z[:, 0] = rng.normal(6.5, 0.7, n)
    return z, np.zeros(n, dtype=int)


def test_without_an_error_only_held_maps_compete_and_it_is_said():
    made = Auto().fit(*confident(0))
    assert made.method_ in HELD
    assert made.at_bound_
    assert "Not one row is wrong" in made.why_
    assert not {"spline", "isotonic-temperature"} & set(made.scores_)


@pytest.mark.parametrize("name", sorted(set(CALIBRATORS) - {"none", "focal-undo", "auto"}))
def test_every_map_says_that_nothing_bounds_it_and_stays_within_reason(name):
    z, y = confident(1)
    made = CALIBRATORS[name]().fit(z, y)
    assert made.at_bound_ is True
    assert made.predict_proba(z).max() < 0.9999 or name == "focal-undo-temperature"  # sharper by as much as asked
    y[:100] = 1
    assert CALIBRATORS[name]().fit(z, y).at_bound_ is False or "grid" in name


@pytest.mark.parametrize("name", ["matrix", "dirichlet", "structured", "vector", "temperature-parameterized"])
def test_rows_with_one_class_left_or_far_out_make_no_fit_worse(name):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(60, 3)) * 3
    y = (z + rng.gumbel(size=z.shape)).argmax(1)
    lone, far = z.copy(), z.copy()
    lone[0] = np.where(np.arange(3) == y[0], 0.0, -1e9)
    far[0] *= 1e30
    y[0] = far[0].argmax()
    lone[0] = np.where(np.arange(3) == y[0], 0.0, -1e9)
    for table in (lone, far):
        before = -Scored.of_logits(table).log_of(y).mean()
        after = -CALIBRATORS[name]().fit(table, y).predict_scored(table).log_of(y).mean()
        assert after <= before * (1 + 1e-6)


def test_an_absent_class_stays_absent_or_is_refused():
    z = np.array([[1.0, 0.0, -np.inf], [1.0, -np.inf, 0.0]])
    made = TemperatureScaling().fit([[2.0, 0.0, 0.0]] * 3, [0, 1, 0])
    assert (np.isneginf(made.predict_log_proba(z)) == np.isneginf(z)).all()
    tiny = TemperatureScaling().set_steps((Affine(np.full(3, 1e-38), np.array(0.0)), Softmax()), 3)
    assert (tiny.predict_proba(z)[np.isneginf(z)] == 0).all()
    lifted = TemperatureScaling().set_steps((Affine(np.array([1.0, 0.0, -1.0]), np.array(0.0)), Softmax()), 3)
    with pytest.raises(InputError, match="row 0 holds -inf in column 2, whose weight"):
        lifted.predict_proba(z)
    matrix = CALIBRATORS["matrix"]().fit(*confident(2))
    with pytest.raises(InputError, match="absent"):
        matrix.predict_proba([[0.0, -np.inf, -np.inf]])


@pytest.mark.parametrize("name", ["auto", "temperature-grid-ece", "temperature"])
def test_logits_that_overflow_are_refused_in_one_line(name):
    z = np.tile([1e308, -1e308, 0.0], (12, 1))
    with pytest.raises(InputError, match=r"row 0 holds 1e\+308 in column 0; above 1e\+290"):
        CALIBRATORS[name]().fit(z, np.arange(12) % 3)
