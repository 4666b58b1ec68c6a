"""Second derivatives over boxes: the true Hessian at any input lies inside, and is never below the least one."""

import numpy as np
import pytest
import torch

from networks import random_box, random_network, random_polynomial, samples
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Mul
from surefoot.reach import curvature as module
from surefoot.reach.curvature import adjoints, curvature, factors_of, least_curvature
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax


def hessian(graph: Graph, row: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    def value(flat: torch.Tensor) -> torch.Tensor:
        return (row * evaluate(graph, flat.reshape(1, *graph.input_shape)).flatten()).sum()

    return torch.autograd.functional.hessian(value, x.flatten())  # pyright: ignore[reportReturnType]


def boxes_of(graph: Graph, low: np.ndarray, high: np.ndarray) -> list[Box]:
    ends = (torch.from_numpy(end).reshape(1, *graph.input_shape) for end in (low, high))
    return relax(graph, Box(*ends), REAL, multi_neuron=False).boxes


@pytest.mark.parametrize("by_inputs", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_hessians_are_enclosed(seed: int, by_inputs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_inputs:
        monkeypatch.setattr(module, "MOST", 0)
    graph = random_polynomial(seed)
    low, high = random_box(graph, seed)
    factors = factors_of(graph)
    row = torch.from_numpy(np.random.default_rng(seed).normal(size=3))
    middle, spread = curvature(graph, boxes_of(graph, low, high), factors, row.reshape(1, 1, 3))
    scale = torch.from_numpy(np.random.default_rng(seed + 1).uniform(0, 2, size=(1, len(low))))
    least, off = least_curvature(factors, middle, spread, scale)
    wide = (factors.gradients.abs().T @ spread[0, 0] @ factors.gradients.abs()) + 1e-9
    centre = factors.gradients.T @ middle[0, 0] @ factors.gradients
    for x in samples(low, high, graph, 6, seed):
        true = hessian(graph, row, x)
        assert bool(((true - centre).abs() <= wide * (1 + 1e-9)).all())
        scaled = scale.T * true * scale
        floor = float(torch.linalg.eigvalsh(scaled - least[0, 0])[0]) + float(off)
        assert floor >= -1e-9 * (1 + float(true.abs().max()))


def test_curvature_is_exact_for_degree_two() -> None:
    builder = GraphBuilder((3,))
    one = builder.add(Linear(torch.randn(4, 3).double(), torch.randn(4).double()), 0)
    two = builder.add(Linear(torch.randn(4, 3).double()), 0)
    builder.add(Linear(torch.randn(2, 4).double()), builder.add(Mul(), one, two))
    graph = builder.build()
    factors = factors_of(graph)
    assert factors.gradients.shape == (8, 3)
    row = torch.tensor([1.0, -2.0]).double()
    middle, spread = curvature(graph, boxes_of(graph, -np.ones(3), np.ones(3)), factors, row.reshape(1, 1, 2))
    assert float(spread.max()) < 1e-12
    true = hessian(graph, row, torch.zeros(3).double())
    assert torch.allclose(factors.gradients.T @ middle[0, 0] @ factors.gradients, true, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_gradients_at_a_point_and_over_a_box(seed: int) -> None:
    graph = random_polynomial(seed)
    low, high = random_box(graph, seed)
    row = torch.from_numpy(np.random.default_rng(seed).normal(size=3))
    x = samples(low, high, graph, 5, seed).requires_grad_(True)
    (true,) = torch.autograd.grad((evaluate(graph, x) @ row).sum(), x)
    over = adjoints(graph, boxes_of(graph, low, high), row.reshape(1, 1, 3))[0]
    assert over is not None
    assert bool(((true - over[0][0]).abs() <= over[1][0] + 1e-9 * (1 + true.abs())).all())
    for point, slope in zip(x.detach(), true, strict=True):
        flat = point.flatten().numpy()
        found = adjoints(graph, boxes_of(graph, flat, flat), row.reshape(1, 1, 3))[0]
        assert found is not None
        assert bool(((slope - found[0][0, 0]).abs() <= found[1][0, 0] + 1e-12 * (1 + slope.abs())).all())
        assert float(found[1].max()) < 1e-9 * (1 + float(slope.abs().max()))


def test_rectifiers_have_none() -> None:
    with pytest.raises(InputError, match="is no polynomial"):
        factors_of(
            next(g for g in map(random_network, range(9)) if any(type(n.op).__name__ == "Relu" for n in g.nodes))
        )
