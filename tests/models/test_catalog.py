"""Networks by name: parameter counts of the literature, names and depths that there are not."""

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.models import find_model

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


def test_unknown_names_and_depths_are_refused():
    with pytest.raises(InputError, match="there are: linear, mlp"):
        find_model("vgg")
    with pytest.raises(InputError, match="6 m"):
        find_model("resnet20")((3, 32, 32), 10, depth=21)
