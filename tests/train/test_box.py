"""The box of inputs that a network was trained on travels with it, and inputs outside of it are told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.data import Part
from surefoot.models import find_model
from surefoot.train import box_of, load_box, outside, save_model
from typed import surefoot


def part(x: torch.Tensor) -> Part:
    return Part(x, torch.zeros(len(x), dtype=torch.int64))


def test_vectors_have_a_range_a_feature_and_images_one_a_channel() -> None:
    vectors = box_of(part(torch.tensor([[0.0, 5.0], [1.0, 7.0]])))
    assert vectors is not None
    assert vectors[0].tolist() == [0, 5]
    assert vectors[1].tolist() == [1, 7]
    images = torch.rand(9, 3, 4, 4)
    box = box_of(part(images))
    assert box is not None
    assert box[0].shape == (3, 1, 1)
    assert box[1][1, 0, 0] == images[:, 1].max()
    assert box_of(part(torch.zeros(4, 7, dtype=torch.int64))) is None


def test_what_lies_outside() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    box = box_of(part(x))
    given = torch.tensor([[0.5, 0.5], [1.0 + 1e-8, 0.0], [1.1, 0.5], [0.0, -0.1], [float("nan"), 0.0]])
    assert outside(part(given), box).tolist() == [False, False, True, True, True]
    assert not outside(part(given), None).any()
    assert outside(part(given[:0]), box).shape == (0,)


def test_predict_counts_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, size=(200, 3)).astype(np.float32), rng.integers(0, 2, size=200)
    np.savez("mine.npz", x=x, y=y)
    model = find_model("ccp-4")((3,), 2)
    save_model(
        model, "ccp-4", (3,), 2, "model.safetensors", (torch.full((3,), -0.5).double(), torch.full((3,), 0.5).double())
    )
    assert load_box("model.safetensors") is not None
    surefoot("predict", "model.safetensors", "--data", "mine.npz")
    told = capsys.readouterr()
    assert "outside of the box" in told.err
    assert Path("predictions.parquet").exists()
    surefoot("predict", "model.safetensors", "--data", "mine.npz", "--refuse", "-o", "other.parquet", code=2)
    assert not Path("other.parquet").exists()
    save_model(model, "ccp-4", (3,), 2, "model.safetensors")  # as files were before
    surefoot("predict", "model.safetensors", "--data", "mine.npz", "--refuse", "-o", "other.parquet")
    assert Path("other.parquet").exists()
