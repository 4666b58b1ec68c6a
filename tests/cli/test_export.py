"""`surefoot export` and `recalibrate --onnx`: files that ONNX Runtime runs."""

import numpy as np
import pytest
import torch

from surefoot.core.predictions import Predictions, save_predictions
from surefoot.models import find_model
from surefoot.recalibrate import load_recalibrator
from surefoot.train import save_model
from typed import call


def write(path, scale=2.5, n=800):
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=(n, 3))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    save_predictions(Predictions((scale * truth).astype(np.float32), "logits", labels), path)
    return path


def test_a_map_and_a_trained_network_with_it(capsys, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    network = find_model("mlp")((1, 8, 8), 3).eval()
    save_model(network, "mlp", (1, 8, 8), 3, tmp_path / "model.pt")
    paths = tmp_path / "map.json", tmp_path / "map.onnx", tmp_path / "all.onnx"
    table = write(tmp_path / "t.parquet")
    assert call(capsys, "recalibrate", table, "-o", paths[0], "--onnx", paths[1])[0] == 0
    code, out, _ = call(capsys, "export", tmp_path / "model.pt", "--map", paths[0], "-o", paths[2])
    assert code == 0
    assert "TemperatureScaling, 3 classes" in out
    x = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        logits = network(x).numpy()
    expected = load_recalibrator(paths[0]).predict_proba(logits)
    for path, given in ((paths[1], logits), (paths[2], x.numpy())):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert np.abs(session.run(None, {session.get_inputs()[0].name: given})[0] - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("none.onnx", 3, "cannot read"), ("bad.onnx", 3, "not an ONNX graph"), ("t.csv", 3, "is neither")],
)
def test_mistakes_leave_no_file(capsys, tmp_path, name, code, said):
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    found = call(capsys, "export", tmp_path / name, "-o", tmp_path / "out.onnx")
    assert (found[0], found[1]) == (code, "")
    assert said in found[2]
    assert not (tmp_path / "out.onnx").exists()
