"""Graphs of calibrators: ONNX Runtime is the judge."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import torch  # noqa: E402

from surefoot.core.errors import InputError  # noqa: E402
from surefoot.recalibrate import (  # noqa: E402
    CALIBRATORS,
    Beta,
    InverseFocal,
    OneVsRest,
    Spline,
    TemperatureScaling,
    TopLabel,
)
from surefoot.recalibrate.onnx import calibrator_to_onnx, model_to_onnx, save_onnx  # noqa: E402
from surefoot.recalibrate.priors import with_priors  # noqa: E402


def run(model, **inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def sample(k=5, n=400):
    rng = np.random.default_rng(0)
    logits = (4 * rng.normal(size=(n, k))).astype(np.float32)
    return logits, (logits / 2 + rng.gumbel(size=(n, k))).argmax(1)


HARD = np.array(
    [[0, 0, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [50, 0, 0, 0, -50], [1e-30, 0, 0, 0, 0], [-800, -900, -1e4, -800, -1e4]],
    dtype=np.float32,
)


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_every_map_in_the_runtime(name):
    logits, labels = sample()
    fitted = CALIBRATORS[name]().fit(logits, labels)
    for rows in (logits, logits[:1], HARD):
        assert np.abs(run(calibrator_to_onnx(fitted), logits=rows) - fitted.predict_proba(rows)).max() < 1e-6


def test_gammas_by_threshold_and_other_priors():
    logits, labels = sample()
    for fitted in (InverseFocal((5.0, 3.0), (0.2,)), TemperatureScaling()):
        moved = with_priors(fitted.fit(logits, labels), [0.2] * 5, [0.5, 0.2, 0.1, 0.1, 0.1])
        assert np.abs(run(calibrator_to_onnx(moved), logits=logits) - moved.predict_proba(logits)).max() < 1e-6


@pytest.mark.parametrize("make", [TemperatureScaling, lambda: OneVsRest(Beta()), lambda: TopLabel(Spline())])
def test_a_network_with_its_map_is_one_file(make, tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))
    x = torch.randn(300, 3, 4)
    with torch.no_grad():
        logits = network(x).numpy()
    fitted = make().fit(logits, sample(n=300)[1])
    network.train()
    graph = model_to_onnx(network, fitted, x[:2])
    assert network.training
    save_onnx(graph, tmp_path / "calibrated.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "calibrated.onnx", providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["probs"]
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert np.abs(found - fitted.predict_proba(logits)).max() < 1e-6


def test_what_cannot_be_joined_is_refused(tmp_path):
    logits, labels = sample()
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


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_maps_learnt_on_degenerate_tables_run_as_well(name):
    constant = np.tile([2.0, 0.0, 0.0], (200, 1)).astype(np.float32)
    own = np.eye(3, dtype=np.float32)[np.arange(201)[:200] % 3]
    for logits in (constant, 10 * own - 5, np.round(sample(3, 200)[0] / 4)):
        for labels in (np.arange(200) % 3, np.zeros(200, dtype=int)):
            fitted = CALIBRATORS[name]().fit(logits, labels)
            found = run(calibrator_to_onnx(fitted), logits=logits.astype(np.float32))
            assert np.abs(found - fitted.predict_proba(logits.astype(np.float32))).max() < 1e-6
