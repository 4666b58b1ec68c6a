"""A PyTorch module as a scikit-learn estimator by skorch, with one of our losses, calibrated on rows held out.

Needs: pip install skorch

    python examples/skorch_net.py
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from surefoot.losses import FocalLoss
from surefoot.metrics import METRICS, measure
from surefoot.recalibrate import RecalibratedClassifier, TemperatureScaling

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    (x / 16).astype(np.float32), y, test_size=0.3, random_state=0, stratify=y
)
torch.manual_seed(0)
net = NeuralNetClassifier(
    nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    criterion=FocalLoss, train_split=None,  # pyright: ignore[reportArgumentType]  # skorch writes defaults, no types
    criterion__gamma=3.0, predict_nonlinearity=lambda logits: logits.softmax(1),
    optimizer=torch.optim.Adam, lr=3e-3, max_epochs=20, verbose=0,
)  # fmt: skip
model = RecalibratedClassifier(net, TemperatureScaling()).fit(x_train, y_train)
for name, probs in (("before", model.estimator_.predict_proba(x_test)), ("after", model.predict_proba(x_test))):
    ece = measure([(probs, y_test)], [METRICS["ece"]])["ece"]
    print(f"ECE {name} {ece.value:.3f}, a calibrated model would show about {ece.floor:.3f}")
