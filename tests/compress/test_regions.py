"""Breakpoints along segments: linear between them, bent at them."""

import pytest
import torch

from planted import convolutional, dense
from surefoot.compress.regions import breakpoints, most_regions
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, evaluate


def ends(graph: Graph, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, *graph.input_shape, generator=generator, dtype=torch.float64)
    return 3 * a - 1, 3 * b - 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("make", [dense, convolutional])
def test_the_network_is_linear_between_breakpoints_and_bent_at_most_of_them(seed: int, make: object) -> None:
    graph: Graph = make(seed)  # pyright: ignore[reportCallIssue]
    a, b = ends(graph, seed)
    t = breakpoints(graph, a, b)
    assert t[0] == 0
    assert t[-1] == 1

    def at(t: torch.Tensor) -> torch.Tensor:
        return evaluate(graph, a + t.reshape(-1, *(1 for _ in a.shape)) * (b - a))

    third = t[:-1] + (t[1:] - t[:-1]) / 3
    straight = at(t[:-1]) * 2 / 3 + at(t[1:]) / 3
    assert bool(((at(third) - straight).abs() <= 1e-9 * (1 + straight.abs())).all())
    slopes = (at(t[1:]) - at(t[:-1])) / (t[1:] - t[:-1]).unsqueeze(1)
    wide = (t[1:] - t[:-1]) > 1e-6
    bends = (slopes[1:] - slopes[:-1]).abs().amax(1)[wide[1:] & wide[:-1]]
    if make is dense and len(bends):
        assert float((bends > 1e-9).double().mean()) > 0.5


def test_there_are_no_more_pieces_than_the_bound_allows() -> None:
    for seed in range(10):
        graph = dense(seed, (), (5, 4), inputs=1)
        pieces = len(breakpoints(graph, torch.full((1,), -9.0), torch.full((1,), 9.0))) - 1
        assert pieces <= most_regions(1, [5, 4])


def test_mistakes() -> None:
    with pytest.raises(InputError, match="shapes"):
        breakpoints(dense(0), torch.zeros(3), torch.ones(3))
