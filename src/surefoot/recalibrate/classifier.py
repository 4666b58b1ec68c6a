"""Any scikit-learn classifier with a calibrator behind it, as one classifier."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import cross_val_predict
from sklearn.utils import get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_is_fitted, column_or_1d

from surefoot.core.precision import floor_of, log_probs, resolution
from surefoot.core.types import Logits, Probs
from surefoot.recalibrate.base import Calibrator
from surefoot.recalibrate.temperature import TemperatureScaling


class RecalibratedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Fit a classifier, and a calibrator on its scores of rows that it was not fitted on.

    The scores come from `cv` folds, as in `CalibratedClassifierCV(ensemble=False)`: each row is scored by a copy fitted
    on the others; then the classifier is fitted on all rows. For one that is fitted already, wrap it in
    `sklearn.frozen.FrozenEstimator`. Scores are decision functions, or else logarithms of probabilities, where an exact
    0 counts as the least that the held-out ones were written with (`core.precision`).

    Property: the classes are whatever `y` holds. Accuracy is the classifier's under calibrators that keep it.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_iris(return_X_y=True)
    >>> RecalibratedClassifier(GaussianNB()).fit(X, y).predict_proba(X[:2]).shape
    (2, 3)
    """

    classes_: np.ndarray
    estimator_: Any
    recalibrator_: Calibrator
    floor_: float | None

    def __init__(self, estimator: Any, calibrator: Calibrator | None = None, cv: Any = 5) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.cv = cv

    def fit(self, X: Any, y: Any) -> "RecalibratedClassifier":
        """Fit both, on features X (n, d) and classes y (n,).

        Raises:
            ValueError: fewer than two classes, or what the classifier itself refuses.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        if _num_samples(X) == 0:
            raise ValueError("at least one row is needed, got X with none")
        target = column_or_1d(y, warn=True)
        check_classification_targets(target)
        self.classes_, labels = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"at least two classes are needed, y holds one class: {self.classes_[0]!r}")
        method = _method(self.estimator)
        held_out: Any = cross_val_predict(self.estimator, X, target, cv=self.cv, method=method)
        copy: Any = clone(self.estimator)
        self.estimator_ = copy.fit(X, target)
        probs = method == "predict_proba"
        self.floor_ = floor_of(resolution(held_out), held_out.dtype) if probs else None
        repair: Any = clone(TemperatureScaling() if self.calibrator is None else self.calibrator)
        self.recalibrator_ = repair.fit(_as_logits(held_out, self.floor_), labels)
        if hasattr(self.estimator_, "n_features_in_"):
            self.n_features_in_ = self.estimator_.n_features_in_
        if hasattr(self.estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.estimator_.feature_names_in_
        return self

    def predict_proba(self, X: Any) -> Probs:
        """Compute recalibrated probabilities (n, k), in the order of `classes_`."""
        check_is_fitted(self, "recalibrator_")
        method = _method(self.estimator_)
        return self.recalibrator_.predict_proba(_as_logits(getattr(self.estimator_, method)(X), self.floor_))

    def predict(self, X: Any) -> np.ndarray:
        """Compute the most probable class of each row."""
        check_is_fitted(self, "recalibrator_")
        return self.classes_[self.predict_proba(X).argmax(1)]

    def __sklearn_tags__(self) -> Any:
        """Take over what the classifier says of itself."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.classifier_tags.multi_class = inner.classifier_tags is None or inner.classifier_tags.multi_class
        return tags


def _method(estimator: Any) -> str:
    return "decision_function" if hasattr(estimator, "decision_function") else "predict_proba"


def _as_logits(scores: np.ndarray, floor: float | None) -> Logits:
    """Return decision functions as logits; or, where there is a floor, the logarithms of probabilities above it."""
    if floor is not None:
        return log_probs(scores, floor)
    scores = np.asarray(scores, dtype=np.float64)
    return scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], 1)
