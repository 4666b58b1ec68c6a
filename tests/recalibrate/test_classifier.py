"""scikit-learn's classifiers with a calibrator behind them."""

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
    Beta,
    OneVsRest,
    RecalibratedClassifier,
    Spline,
    TemperatureScaling,
    TopLabel,
    VectorScaling,
)

TYPES = {
    "check_do_not_raise_errors_in_init_or_set_params": "it sets -1 where the tests' own type checks want an object"
}


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
