"""Residual networks: against weights that were published with their logits."""

import numpy as np
import pytest
import torch

from surefoot.models import BottleneckResNet, CifarResNet


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


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_gives_logits_and_gradients(shape):
    model = CifarResNet(shape, 7, depth=20)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_papers_bottlenecks_keep_four_cells_of_larger_images():
    model = BottleneckResNet((3, 64, 64), 5, stages=(1, 1, 1, 1), pool=2).eval()
    assert model.layers[-1].in_features == 4 * 2048
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5)
