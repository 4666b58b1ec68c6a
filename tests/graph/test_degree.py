"""Degrees of networks as polynomials, and what makes them none."""

import torch
from torch import Tensor, nn

from surefoot.graph.degree import degree_of, polynomial_degree
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Add, Linear, Mul
from surefoot.models import PiResNet


def test_what_is_no_polynomial_is_named() -> None:
    example = torch.rand(2, 3, 32, 32)
    found = polynomial_degree(PiResNet((3, 32, 32), 10, (1, 1), (4, 8), stem="imagenet"), example)
    assert found.degree is None
    assert [o.split(": ")[1] for o in found.offenders] == ["MaxPool2d"]
    found = polynomial_degree(nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Tanh()), example)
    assert found.offenders == ("1: InstanceNorm2d", "2: Tanh")
    assert "Relu" in polynomial_degree(Bends(), torch.rand(2, 3)).offenders[0]


class Bends(nn.Module):
    """A ReLU that no submodule shows."""

    def forward(self, x: Tensor) -> Tensor:
        """Bend."""
        return torch.relu(x) * x


def test_degrees_of_graphs() -> None:
    builder = GraphBuilder((2,))
    square = builder.add(Mul(), 0, 0)
    line = builder.add(Linear(torch.ones(2, 2).double()), 0)
    builder.add(Add(), builder.add(Mul(), square, line), line)
    assert degree_of(builder.build()).degree == 3
