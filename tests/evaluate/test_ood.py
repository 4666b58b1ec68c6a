"""AUROC against out-of-distribution inputs, for trained networks."""

import numpy as np
import pytest
import torch

from surefoot.data import Part, load_data
from surefoot.evaluate.ood import mean_and_ends, ood_values
from surefoot.metrics import ood_auroc
from surefoot.train import cells, load_model, predict, run_matrix
from training import SHORT


def test_values_are_those_of_the_networks_that_were_left(tmp_path):
    data = load_data("digits")
    runs = run_matrix(cells(["digits"], ["mlp"], ["ce", "fl-3"], SHORT, [0, 1]), tmp_path)
    ood = {"nonsense": Part(torch.rand(100, 1, 8, 8), torch.zeros(100, dtype=torch.long))}
    found = ood_values(runs, tmp_path, ood, data.prepare)
    assert {name for name, _ in found} == {"nonsense"}
    cell = next(iter(runs))
    logits = predict(load_model(tmp_path / cell.name / "model.safetensors"), ood["nonsense"])
    known = runs[cell].part("test").scores
    values = [100 * ood_auroc(run.part("test").scores, x, "energy") for run, x in ((runs[cell], logits),)]
    assert values[0] == pytest.approx(100 * ood_auroc(known, logits, "energy"))
    mean, low, high = found["nonsense", "energy"]["ce"]["before"]
    assert low <= mean <= high
    assert 50 < found["nonsense", "entropy"]["ce"]["before"][0] <= 100


def test_an_interval_needs_two_seeds():
    assert np.isnan(mean_and_ends([0.5])[1:]).all()
    mean, low, high = mean_and_ends([51.0, 52.0, 53.0])
    assert (mean, low, high) == (52.0, pytest.approx(52 - 2.484, abs=1e-3), pytest.approx(52 + 2.484, abs=1e-3))
    assert mean_and_ends([60.0, 99.0])[2] == 100.0  # no AUROC is more
