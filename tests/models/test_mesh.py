"""Meshes: spirals around vertices, points spread out, autoencoders that are polynomials."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from polynomial_models import degree_along, shaken
from surefoot.core.errors import InputError
from surefoot.models import (
    MeshAutoencoder,
)
from surefoot.models.mesh import spirals, spread_out

ICOSAHEDRON = np.array(
    [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6],
     [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7],
     [9, 8, 1]]
)  # fmt: skip


def test_a_spiral_begins_at_the_vertex_and_goes_ring_by_ring() -> None:
    found = spirals(ICOSAHEDRON, 12, 12)
    edges = {frozenset(pair) for face in ICOSAHEDRON.tolist() for pair in zip(face, face[1:] + face[:1], strict=True)}
    for vertex, order in enumerate(found.tolist()):
        assert order[0] == vertex
        assert sorted(order) == list(range(12))
        ring = order[1:6]
        assert all(frozenset((vertex, other)) in edges for other in ring)
        assert all(frozenset(pair) in edges for pair in pairwise(ring))  # once around


def test_open_surfaces_and_few_vertices() -> None:
    fan = np.array([[0, 1, 2], [0, 2, 3]])
    assert spirals(fan, 4, 6).tolist()[0] == [0, 1, 2, 3, 3, 3]
    assert spirals(np.zeros((0, 3), dtype=int), 2, 3).tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(InputError, match="are no triangles of 3 vertices"):
        spirals(fan, 3)


def test_points_are_spread_out() -> None:
    points = np.array([[0.0], [0.1], [5.0], [10.0]])
    assert spread_out(points, 3).tolist() == [0, 2, 3]


@pytest.mark.parametrize(("degree", "whole"), [(1, 1), (2, 4), (3, 9)])
def test_mesh_autoencoders_are_polynomials(degree: int, whole: int) -> None:
    template = np.random.default_rng(0).normal(size=(12, 3))
    model = shaken(MeshAutoencoder(template, ICOSAHEDRON, 4, degree, (5, 5), 6, 8))
    x = torch.randn(1, 12, 3)
    assert model(x).shape == x.shape
    assert degree_along(model, x, whole) == whole
