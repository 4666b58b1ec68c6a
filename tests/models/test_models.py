"""Networks: parameter counts of the literature, shapes, and real published weights."""

from functools import partial

import numpy as np
import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.models import MODELS, CifarResNet, DenseNet, WideResNet, find_model

COUNTS = {
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,  # He's "1.7M"
    "resnet50": 23_520_842,  # the paper's 23.5M
    "resnet110-paper": 45_864_522,  # the paper's "ResNet-110": 45.9M
    "wrn-26-10": 36_479_194,  # 36.5M
    "densenet121": 6_956_298,  # 6.96M
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_parameter_counts(name, count):
    with torch.device("meta"):
        model = find_model(name)((3, 32, 32), 10)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_tiny_imagenet_resnet_has_the_papers_size():
    with torch.device("meta"):
        model = find_model("resnet50-tiny")((3, 64, 64), 200)
    assert sum(p.numel() for p in model.parameters()) == 25_138_952  # 25.1M


@pytest.mark.parametrize("depth", [27, 11])
def test_wide_resnets_of_impossible_depth_are_refused(depth):
    with pytest.raises(InputError, match="6 m"):
        WideResNet((3, 32, 32), 10, depth=depth)


@pytest.mark.parametrize("make", [partial(WideResNet, depth=10, widen=1), partial(DenseNet, blocks=(2, 2), growth=4)])
def test_deep_networks_halve_the_image_and_give_logits(make):
    model = make((3, 32, 32), 7)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", ["mlp", "small-cnn", "resnet20"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_gives_logits_and_gradients(name, shape):
    model = MODELS[name](shape, 7)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_unknown_names_and_depths_are_refused():
    with pytest.raises(InputError, match="there are: linear, mlp"):
        find_model("vgg")
    with pytest.raises(InputError, match="6 m"):
        CifarResNet((3, 32, 32), 10, depth=21)


@pytest.mark.slow
def test_published_resnet20_weights_give_the_published_logits(shared_data):
    """Our ResNet-20 with the weights of another implementation must give that implementation's accuracy."""
    image = pytest.importorskip("PIL.Image")
    weights = np.load(shared_data / "weights" / "cifar10_resnet20_akamaster.npz", allow_pickle=False)
    tensors = [torch.from_numpy(weights[k]) for k in weights.files if not k.endswith("num_batches_tracked")]
    model = CifarResNet((3, 32, 32), 10, depth=20)
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert [t.shape for t in tensors] == [t.shape for t in own.values()]  # the same layers in the same order
    model.load_state_dict(dict(zip(own, tensors, strict=True)), strict=False)
    model.eval()
    sheet = image.open(shared_data / "images" / "cifar10" / "test_00.webp")
    x = np.asarray(sheet).reshape(50, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)[:500] / 255.0
    x = (x - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array([0.229, 0.224, 0.225])[:, None, None]
    with torch.inference_mode():
        logits = model(torch.from_numpy(x).float()).numpy()
    published = np.load(shared_data / "logits" / "cifar10_resnet20_akamaster.npz", allow_pickle=False)
    assert np.abs(logits - published["logits"][:500]).max() < 1e-3
