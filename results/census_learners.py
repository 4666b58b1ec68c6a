"""Classifiers of scikit-learn for the census, exported by skl2onnx: pip install skl2onnx."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import discriminant_analysis, ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)  # fmt: skip

_LOGISTIC = linear_model.LogisticRegression(max_iter=2000)
_BEFORE = (
    Binarizer(), MaxAbsScaler(), MinMaxScaler(), Normalizer(), PCA(2), PolynomialFeatures(2), RobustScaler(),
    StandardScaler(),
)  # fmt: skip
LEARNERS: dict[str, Any] = {
    **{type(step).__name__: make_pipeline(step, _LOGISTIC) for step in _BEFORE},
    "CalibratedClassifierCV": CalibratedClassifierCV(_LOGISTIC),
    "DecisionTreeClassifier": tree.DecisionTreeClassifier(max_depth=3),
    "GaussianNB": naive_bayes.GaussianNB(),
    "GradientBoostingClassifier": ensemble.GradientBoostingClassifier(n_estimators=3),
    "KNeighborsClassifier": neighbors.KNeighborsClassifier(),
    "LinearDiscriminantAnalysis": discriminant_analysis.LinearDiscriminantAnalysis(),
    "LinearSVC": svm.LinearSVC(),
    "LogisticRegression": _LOGISTIC,
    "MLPClassifier": neural_network.MLPClassifier((8,), max_iter=500),
    "MLPClassifier, tanh": neural_network.MLPClassifier((8,), activation="tanh", max_iter=500),
    "QuadraticDiscriminantAnalysis": discriminant_analysis.QuadraticDiscriminantAnalysis(),
    "RandomForestClassifier": ensemble.RandomForestClassifier(5, max_depth=4),
    "RidgeClassifier": linear_model.RidgeClassifier(),
    "SGDClassifier": linear_model.SGDClassifier(loss="log_loss"),
    "SVC": svm.SVC(),
}


def exported() -> Iterator[tuple[str, Path]]:
    """Fit each to irises and export it, with the maps from classes to probabilities at its end, as by default."""
    from skl2onnx import to_onnx  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  (no dependency)

    x, y = load_iris(return_X_y=True)
    x = np.asarray(x, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, learner in LEARNERS.items():
            path = Path(folder, f"{name}.onnx")
            path.write_bytes(to_onnx(learner.fit(x, y), x[:1]).SerializeToString())
            yield f"scikit-learn {name}", path
