"""Weights as files: read by others, read from before, refused where they are something else."""

import os

import pytest
import safetensors.torch
import torch

from surefoot.core.errors import FileError
from surefoot.core.files import whole_file
from surefoot.models import MODELS, find_model
from surefoot.train import load_box, load_model, save_model


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = find_model("small-cnn")((1, 8, 8), 10).eval()
    for weight in made.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return made


def test_what_is_written_is_read_and_any_reader_of_safetensors_finds_the_weights(tmp_path, network):
    box = (torch.zeros(1, 8, 8).double(), torch.ones(1, 8, 8).double())
    save_model(network, "small-cnn", (1, 8, 8), 10, tmp_path / "model.safetensors", box)
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(load_model(tmp_path / "model.safetensors")(x), network(x))
    found = load_box(tmp_path / "model.safetensors")
    assert found is not None
    assert torch.equal(torch.stack(found), torch.stack(box))
    others = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(others[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_of_the_catalogue_is_kept_whole(tmp_path, name):
    shape = {"tree-lstm": (9, 3, 50), "pooling-cnn": (20, 50)}.get(name, (3, 32, 32))
    model = find_model(name)(shape, 4)
    save_model(model, name, shape, 4, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors").state_dict()
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(again[key], value) for key, value in model.state_dict().items())


def test_files_of_the_last_version_are_read(tmp_path, network):
    """They were PyTorch's, with and without a box."""
    box = (torch.zeros(1, 8, 8), torch.ones(1, 8, 8))
    about = {"name": "small-cnn", "shape": [1, 8, 8], "classes": 10, "state": network.state_dict()}
    for extra in ({}, {"box": None}, {"box": box}):
        with whole_file(tmp_path / "model.pt") as path:
            torch.save(about | extra, path)
        again = load_model(tmp_path / "model.pt").state_dict()
        assert all(torch.equal(again[key], value) for key, value in network.state_dict().items())
        assert (load_box(tmp_path / "model.pt") is None) == (extra.get("box") is None)


def test_other_weights_and_other_versions_are_refused(tmp_path, network):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2, 2)}, path)
    with pytest.raises(FileError, match="not of a network that surefoot wrote"):
        load_model(path)
    safetensors.torch.save_file({"weight": torch.zeros(2, 2)}, path, {"format": "surefoot model 99"})
    with pytest.raises(FileError, match="model 99"):
        load_model(path)
    save_model(network, "small-cnn", (1, 8, 8), 10, path)
    state = safetensors.torch.load_file(path)
    state.popitem()
    about = {"format": "surefoot model 2", "name": "small-cnn", "shape": "[1, 8, 8]", "classes": "10"}
    safetensors.torch.save_file(state, path, about)
    with pytest.raises(FileError, match="damaged"):
        load_model(path)
    huge = about | {"name": "mlp", "shape": "[1, 1000000, 1000000]"}  # of 500 TB
    safetensors.torch.save_file(state, path, huge)
    with pytest.raises(FileError, match="not those of 'mlp'"):
        load_model(path)
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors"]
