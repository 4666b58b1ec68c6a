"""PyTorch modules become the graphs that they compute."""

import pytest
import torch
from torch import nn

from cases import first
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MODELS


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.LeakyReLU(0.1))
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.inner(x) + x))


def test_a_module_with_everything() -> None:
    torch.manual_seed(0)
    module = Skip()
    module.inner[1].running_mean = torch.randn(2)
    x = torch.randn(3, 2, 4, 4)
    graph = graph_of_module(module, x)
    assert module.training
    module.eval()
    with torch.no_grad():
        assert torch.allclose(evaluate(graph, x.double()).float(), module(x), atol=1e-5)


@pytest.mark.parametrize("name", first(2, ["mlp", "small-cnn", "resnet20"]))
def test_our_own_networks(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    module = MODELS[name]((3, 32, 32), 10)
    graph = graph_of_module(module, x)
    module.eval()
    with torch.no_grad():
        assert torch.allclose(evaluate(graph, x.double()).float(), module(x), atol=1e-3)


def test_what_cannot_be_exported_is_said() -> None:
    class Untraceable(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(InputError, match="Untraceable cannot be exported"):
        graph_of_module(Untraceable(), torch.randn(1, 3))
