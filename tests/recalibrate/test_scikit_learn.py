"""scikit-learn's own checks of estimators, and calibrators behind its classifiers."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from surefoot.recalibrate import (
    CALIBRATORS,
    Beta,
    OneVsRest,
    RecalibratedClassifier,
    Spline,
    TemperatureScaling,
    TopLabel,
    VectorScaling,
)

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


@pytest.mark.parametrize(
    "classifier",
    [
        RecalibratedClassifier(LogisticRegression()),
        RecalibratedClassifier(GaussianNB(), VectorScaling()),
        RecalibratedClassifier(LogisticRegression(), OneVsRest(Beta()), cv=3),
    ],
)
def test_the_classifier_passes_every_check(classifier):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(classifier, expected_failed_checks=TYPES)


@pytest.mark.parametrize("load", [load_digits, load_breast_cancer])
@pytest.mark.parametrize("estimator", [GaussianNB(), RandomForestClassifier(50, random_state=0), LinearSVC()])
@pytest.mark.parametrize("calibrator", [TemperatureScaling(), OneVsRest(Beta()), TopLabel(Spline(least_rows=100))])
def test_it_repairs_any_classifier(load, estimator, calibrator):
    features, y = load(return_X_y=True)
    names = np.array([f"class {i}" for i in range(10)])[y]
    x, x_test, y, y_test = train_test_split(features / features.max(0).clip(1), names, random_state=0)
    found = RecalibratedClassifier(estimator, calibrator).fit(x, y)
    probs = found.predict_proba(x_test)
    assert found.classes_.tolist() == sorted(set(names))
    assert (found.predict(x_test) == y_test).mean() > 0.75
    if hasattr(estimator, "predict_proba"):
        plain = estimator.fit(x, y).predict_proba(x_test)
        assert log_loss(y_test, probs) < log_loss(y_test, plain)
    frozen = RecalibratedClassifier(FrozenEstimator(estimator.fit(x, y)), calibrator).fit(x_test, y_test)
    assert frozen.predict_proba(x_test).shape == probs.shape


def test_it_lives_in_pipelines_and_searches():
    features, y = load_breast_cancer(return_X_y=True)
    chain = make_pipeline(StandardScaler(), RecalibratedClassifier(LogisticRegression()))
    assert cross_val_score(chain, features, y, scoring="neg_log_loss", cv=3).mean() > -0.12
    search = GridSearchCV(
        RecalibratedClassifier(GaussianNB()), {"calibrator": [TemperatureScaling(), OneVsRest(Beta())]},
        scoring="neg_log_loss", cv=3,
    ).fit(features, y)  # fmt: skip
    assert search.best_params_["calibrator"] is not None
