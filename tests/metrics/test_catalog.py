"""All metrics at once, on a real model with published numbers."""

import numpy as np
import pytest
import torch

from surefoot.metrics import METRICS
from surefoot.metrics.uncertainty import measure


@pytest.mark.slow
def test_published_numbers_of_real_models(shared_data):
    with np.load(shared_data / "logits" / "cifar10_densenet40_valtest.npz", allow_pickle=False) as file:
        logits, labels = torch.from_numpy(file["logits_test"]).double(), file["labels_test"]
    got = measure([(logits.softmax(1), labels)], METRICS.values(), intervals=False, floors=False)
    assert got["accuracy"].value == pytest.approx(0.9242, abs=5e-5)
    assert got["ece"].value == pytest.approx(0.055, abs=5e-5)
    assert got["ks"].value == pytest.approx(0.0549, abs=5e-5)
