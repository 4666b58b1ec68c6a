"""A file that is no map is refused by every command that takes one, in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import ElementwiseAffine
from typed import call

SOFTMAX, NORMALISE = {"step": "softmax"}, {"step": "normalise"}
AFFINE = {"step": "affine", "weight": 2.0, "bias": 0.0}
CASES = {
    "twosoft": [SOFTMAX, {"step": "affine", "weight": 3.0, "bias": [0.1, 0, 0]}, SOFTMAX],
    "mixneg": [{"step": "mix", "weights": [-0.5, 1.5], "parts": [[SOFTMAX], [AFFINE, SOFTMAX]]}],
    "reweighneg": [SOFTMAX, {"step": "reweigh", "factors": [-1.0, 1.0, 1.0]}],
    "above": [SOFTMAX, {"step": "curves", "curves": [{"curve": "stairs", "edges": [], "values": [2]}]}, NORMALISE],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("maps")
    graph = random_network(3)
    write_onnx(graph, made / "net.onnx")
    write_onnx(_scaled(graph, 1.001), made / "other.onnx")
    x = np.random.default_rng(0).uniform(0, 1, (4, *graph.input_shape)).astype(np.float32)
    np.savez(made / "x.npz", x=x, y=np.zeros(4, dtype=int))
    logits = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    save_predictions(Predictions(logits, "logits", logits.argmax(1)), made / "t.parquet")
    for name, steps in CASES.items():
        head = {"format": "surefoot recalibrator", "version": 2, "name": "TemperatureScaling", "settings": {}}
        record = {**head, "learnt": {"temperature_": 1.0}, "classes": 3, "steps": steps}
        (made / f"{name}.json").write_text(json.dumps(record))
    return made


def _scaled(graph: Graph, factor: float) -> Graph:
    builder = GraphBuilder(graph.input_shape)
    builder.nodes = list(graph.nodes)
    builder.add(ElementwiseAffine(torch.from_numpy(np.full(3, factor))), len(graph.nodes) - 1)
    return builder.build()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("command", ["measure", "certify", "equal", "export"])
def test_every_command_refuses_what_is_no_map(
    folder: Path, command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "measure": ("measure", folder / "t.parquet"),
        "certify": ("certify", folder / "net.onnx", "--images", folder / "x.npz", "--eps", "0.01"),
        "equal": ("equal", folder / "net.onnx", folder / "other.onnx", "--domain", "0,1", "--images", folder / "x.npz"),
        "export": ("export", folder / "net.onnx", "-o", folder / "out.onnx"),
    }[command]
    code, _, error = call(capsys, *words, "--map", folder / f"{name}.json")
    assert code == 3
    assert f"{name}.json is damaged: step " in error.replace("\n", "")
    assert "Traceback" not in error
    assert not (folder / "out.onnx").exists()
