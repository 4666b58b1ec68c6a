"""Linear regions: each is the network where it says so, together they are the box, and two ways of counting agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import first
from planted import convolutional, dense
from surefoot.compress.linear_regions import Polygon, linear_region_at, linear_regions, plane_linear_regions
from surefoot.compress.regions import breakpoints, layer_counts, most_regions
from surefoot.compress.stability import stability
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Add, Linear, Mul, Relu
from surefoot.spec.input_set import InputSet, LinearConstraints


def box(d: int, size: float = 2.0) -> InputSet:
    return InputSet(np.full(d, -size), np.full(d, size))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("make", [dense, convolutional])
def test_a_piece_is_the_network_on_its_region(seed: int, make: object) -> None:
    graph = make(seed)  # pyright: ignore[reportCallIssue]
    x = torch.rand(graph.input_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    piece = linear_region_at(graph, x)
    near = x + 1e-3 * torch.randn(200, *x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    flat = near.flatten(1).numpy()
    inside = piece.holds(flat)
    assert piece.holds(x.flatten()[None].numpy()).all()
    assert inside.any()
    np.testing.assert_allclose(piece(flat[inside]), evaluate(graph, near).numpy()[inside], atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_pieces_tile_the_box_and_are_the_network(seed: int) -> None:
    graph, domain = dense(seed, ("active",) if seed % 2 else (), (6, 5), 2), box(2)
    found = linear_regions(graph, domain)
    x = np.random.default_rng(seed).uniform(-2, 2, size=(3000, 2))
    y = evaluate(graph, torch.from_numpy(x)).numpy()
    held = np.stack([piece.holds(x) for piece in found])
    assert (held.sum(0) == 1).all()
    for piece, own in zip(found, held, strict=True):
        np.testing.assert_allclose(piece(x[own]), y[own], atol=1e-10)
    counts = layer_counts(stability(graph, domain))
    assert counts is not None
    assert len(found) <= most_regions(2, *counts) <= most_regions(2, [6, 5])
    assert len({tuple(piece.signs) for piece in found}) == len(found)


@pytest.mark.parametrize("seed", first(2, range(6)))
def test_linear_programs_and_polygons_count_the_same(seed: int) -> None:
    graph, domain = dense(seed, (), (7, 6), 2), box(2)
    low = torch.from_numpy(domain.lower)
    polygons = plane_linear_regions(graph, low, torch.tensor([4.0, 0.0]), torch.tensor([0.0, 4.0]))
    assert len(polygons) == len(linear_regions(graph, domain))
    cells = [p.cell for p in polygons if isinstance(p.cell, Polygon)]
    assert sum(cell.area for cell in cells) == pytest.approx(1)
    for piece, cell in zip(polygons, cells, strict=True):
        middle = cell.corners.mean(0)[None]
        there = low + torch.from_numpy(4 * middle)
        np.testing.assert_allclose(piece(middle), evaluate(graph, there).numpy(), atol=1e-10)


def test_the_border_of_a_plane_is_a_segment() -> None:
    graph = dense(3, (), (12, 9), 5)
    a, b, c = torch.rand(3, 5, dtype=torch.float64)
    polygons = plane_linear_regions(graph, a, b - a, c - a)
    lengths = []
    for piece in polygons:
        assert isinstance(piece.cell, Polygon)
        on = np.sort(piece.cell.corners[np.abs(piece.cell.corners[:, 1]) < 1e-12][:, 0])
        if len(on) >= 2:
            lengths += on.tolist()
    np.testing.assert_allclose(
        np.unique(np.round(lengths, 8)), np.round(breakpoints(graph, a, b).numpy(), 8), atol=1e-7
    )


def test_skips_and_fixed_inputs() -> None:
    builder = GraphBuilder((2,))
    first = builder.add(Relu(), builder.add(Linear(torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()), 0))
    builder.add(Linear(torch.ones(1, 2).double()), builder.add(Add(), first, 0))
    graph = builder.build()
    assert len(linear_regions(graph, box(2))) == 4
    assert len(linear_regions(graph, InputSet.of([-2, 0], [2, 0]))) == 2
    assert layer_counts(stability(graph, box(2))) is None


def test_mistakes() -> None:
    graph = dense(0, (), (6, 6), 2)
    with pytest.raises(InputError, match="more than 3 regions"):
        linear_regions(graph, box(2), most=3)
    with pytest.raises(InputError, match="does not fit"):
        linear_regions(graph, box(3))
    with pytest.raises(InputError, match="without linear constraints"):
        linear_regions(graph, replace(box(2), constraints=LinearConstraints.of([[1, 1]], [0])))
    with pytest.raises(InputError, match="shape"):
        linear_region_at(graph, torch.zeros(3))
    builder = GraphBuilder((2,))
    builder.add(Mul(), 0, 0)
    with pytest.raises(InputError, match="not piecewise linear"):
        linear_regions(builder.build(), box(2))
