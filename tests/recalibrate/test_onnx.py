"""Graphs of calibrators: ONNX Runtime is the judge."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import torch  # noqa: E402

from onnx_models import logits_and_labels, small  # noqa: E402
from surefoot.core.errors import InputError  # noqa: E402
from surefoot.core.numerics import softmax  # noqa: E402
from surefoot.core.predictions import Predictions  # noqa: E402
from surefoot.recalibrate import (  # noqa: E402
    CALIBRATORS,
    Beta,
    OneVsRest,
    Spline,
    TemperatureScaling,
    TopLabel,
)
from surefoot.recalibrate.onnx import calibrator_to_onnx, model_to_onnx, save_onnx  # noqa: E402


@pytest.mark.parametrize("make", [TemperatureScaling, lambda: OneVsRest(Beta()), lambda: TopLabel(Spline())])
def test_a_network_with_its_map_is_one_file(make, tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))
    x = torch.randn(300, 3, 4)
    with torch.no_grad():
        logits = network(x).numpy()
    fitted = make().fit(logits, logits_and_labels(n=300)[1])
    network.train()
    graph = model_to_onnx(network, fitted, x[:2])
    assert network.training
    save_onnx(graph, tmp_path / "calibrated.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "calibrated.onnx", providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["probs"]
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert np.abs(found - fitted.predict_proba(logits)).max() < 1e-6


def test_what_cannot_be_joined_is_refused(tmp_path):
    logits, labels = logits_and_labels()
    fitted = TemperatureScaling().fit(logits, labels)
    with pytest.raises(InputError, match="needs an example input"):
        model_to_onnx(torch.nn.Linear(3, 5), fitted)
    with pytest.raises(InputError, match=r"output has shape \[.*7\], the calibrator was fitted on logits \(n, 5\)"):
        model_to_onnx(torch.nn.Linear(3, 7), fitted, torch.zeros(2, 3))
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Softmax(1))
    with pytest.raises(InputError, match="ends in a Softmax, and the calibrator takes logits"):
        model_to_onnx(network, fitted, torch.zeros(2, 3))
    with pytest.raises(InputError, match=r"as \.onnx"):
        save_onnx(calibrator_to_onnx(fitted), tmp_path / "map.txt")


@pytest.mark.parametrize("name", ["vector", "matrix", "auto"])
def test_a_map_of_probabilities_is_what_it_promised_behind_a_network_of_logits(name):
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=(1500, 4)) + [3, 0, 0, 0]
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    z = (truth * [1.5, 0.7, 1, 2] + [0, 2, -1, 0] + 6 * rng.normal(size=(1500, 1))).astype(np.float32)
    table = Predictions(softmax(z), "probs", labels)
    fitted = CALIBRATORS[name]().fit_table(table)
    network = small([("Identity", ["l"], ["y"], {})], np.eye(4))
    session = onnxruntime.InferenceSession(model_to_onnx(network, fitted).SerializeToString())
    given = session.run(None, {"x": z})[0]
    assert np.abs(given - fitted.predict_proba(table.logits())).max() < 1e-5
