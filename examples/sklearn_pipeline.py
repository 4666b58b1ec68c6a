"""A scikit-learn pipeline, calibrated on rows it was not fitted on. With skorch a PyTorch module is such a classifier.

python examples/sklearn_pipeline.py
"""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from surefoot.metrics import METRICS, measure
from surefoot.recalibrate import Auto, RecalibratedClassifier

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=100.0, max_iter=500))
model = RecalibratedClassifier(pipeline, Auto()).fit(x_train, y_train)
ece = measure([(model.predict_proba(x_test), y_test)], [METRICS["ece"]])["ece"]
print(f"ECE {ece.value:.3f}, a calibrated model would show about {ece.floor:.3f}")
