"""`surefoot export` and `recalibrate --onnx`: files that ONNX Runtime runs."""

import json

import numpy as np
import pytest
import torch

from surefoot.core.predictions import Predictions, save_predictions
from surefoot.models import find_model
from surefoot.recalibrate import load_calibrator
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
    save_model(network, "mlp", (1, 8, 8), 3, tmp_path / "model.safetensors")
    paths = tmp_path / "map.json", tmp_path / "map.onnx", tmp_path / "all.onnx"
    table = write(tmp_path / "t.parquet")
    assert call(capsys, "recalibrate", table, "-o", paths[0], "--onnx", paths[1])[0] == 0
    code, out, _ = call(capsys, "export", tmp_path / "model.safetensors", "--map", paths[0], "-o", paths[2])
    assert code == 0
    assert "TemperatureScaling, 3 classes" in out
    x = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        logits = network(x).numpy()
    expected = load_calibrator(paths[0]).predict_proba(logits)
    for path, given in ((paths[1], logits), (paths[2], x.numpy())):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert np.abs(session.run(None, {session.get_inputs()[0].name: given})[0] - expected).max() < 1e-6


def test_what_is_exported_can_be_proven_and_compressed(capsys, tmp_path):
    """The map's last step is a softmax that the graph's reader knows; classes are told by what enters it."""
    pytest.importorskip("highspy", reason="needs the verify extra")
    torch.manual_seed(0)
    network = find_model("mlp-64")((1, 4, 4), 3).eval()
    save_model(network, "mlp-64", (1, 4, 4), 3, tmp_path / "model.safetensors")
    map_file, whole = tmp_path / "map.json", tmp_path / "all.onnx"
    assert call(capsys, "recalibrate", write(tmp_path / "t.parquet"), "-o", map_file)[0] == 0
    assert call(capsys, "export", tmp_path / "model.safetensors", "--map", map_file, "-o", whole)[0] == 0
    x = torch.rand(3, 1, 4, 4)
    np.savez(tmp_path / "x.npz", x=x.numpy(), y=network(x).argmax(1).numpy())
    code, out, _ = call(capsys, "verify", whole, "--images", tmp_path / "x.npz", "--eps", "0.0001", "--json")
    assert code == 0
    assert json.loads(out)["counts"]["holds"] == 3
    small = tmp_path / "small.onnx"
    assert call(capsys, "compress", whole, "--domain", "0.4,0.6", "-o", small)[0] == 0
    code, out, _ = call(capsys, "equal", whole, small, "--domain", "0.4,0.6")
    assert "proven" in out


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("none.onnx", 3, "cannot read"), ("bad.onnx", 3, "not an ONNX file"), ("t.csv", 3, "is neither")],
)
def test_mistakes_leave_no_file(capsys, tmp_path, name, code, said):
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    found = call(capsys, "export", tmp_path / name, "-o", tmp_path / "out.onnx")
    assert (found[0], found[1]) == (code, "")
    assert said in found[2]
    assert not (tmp_path / "out.onnx").exists()
