"""The other polynomial networks: meshes, graphs, generators, embeddings, blocks of the successors."""

from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from surefoot.core.errors import InputError
from surefoot.data.spectrograms import spectrogram
from surefoot.graph.degree import polynomial_degree
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.torch_in import graph_of_module
from surefoot.losses.margin import AngularMarginLoss
from surefoot.models import (
    CosineHead,
    InjectionGenerator,
    MeshAutoencoder,
    PiResNet,
    PolynomialEmbedding,
    PolynomialGenerator,
    PolynomialGraphFilter,
)
from surefoot.models.graph_filter import normalised_adjacency
from surefoot.models.mesh import spirals, spread_out


def shaken(module: nn.Module) -> nn.Module:
    """Give batch normalisations statistics, and numbers that begin with 0 a value, as if trained."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("share"):
                parameter.fill_(0.7)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(std=0.1)
                layer.running_var.uniform_(0.5, 2)
    return module.eval()


def degree_along(module: nn.Module, x: Tensor, most: int) -> int:
    """Return the degree along a line through x, by finite differences of exact enough values."""
    module = module.double()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    t = torch.linspace(-1, 1, most + 3, dtype=torch.float64).reshape(-1, *[1] * x.dim())
    with torch.no_grad():
        y = module((x.double() + t * direction).flatten(0, 1)).flatten(1).numpy()
    for degree in range(most + 2):
        if np.abs(np.diff(y, n=degree + 1, axis=0)).max() < 1e-9 * np.abs(y).max():
            return degree
    return most + 2


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


def test_adjacency_is_symmetric_and_its_largest_eigenvalue_is_one() -> None:
    edges = np.array([[0, 1], [1, 2], [2, 0], [3, 0]])
    dense = normalised_adjacency(edges, 5).to_dense()
    assert torch.equal(dense, dense.T)
    assert float(torch.linalg.eigvalsh(dense.double())[-1]) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(InputError, match="no pairs of 3 nodes"):
        normalised_adjacency(edges, 3)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_graph_filters_are_polynomials_of_the_features(degree: int) -> None:
    adjacency = normalised_adjacency(np.array([[0, 1], [1, 2], [2, 3]]), 4).to_dense().double()
    model = PolynomialGraphFilter(6, 3, degree).double().eval()

    class Along(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.stack([model(one, adjacency) for one in z])

    assert degree_along(Along(), torch.randn(1, 4, 6), degree) == degree
    with pytest.raises(InputError, match="at least 1"):
        PolynomialGraphFilter(6, 3, 0)


@pytest.mark.parametrize(
    ("model", "shape", "degree"),
    [
        (PolynomialGenerator(5, (1, 8, 8), 0), (1, 5), 1),
        (PolynomialGenerator(5, (1, 8, 8)), (1, 5), 4),
        (InjectionGenerator(5, (1, 8, 8), (4, 4), mapping=False), (1, 5), 2),
        (InjectionGenerator(5, (3, 9, 7), (4, 4)), (1, 5), 4),
        (PolynomialEmbedding((1, 8, 8), 6, (1,), (4,)), (1, 1, 8, 8), 4),
        (PiResNet((1, 8, 8), 3, (1, 1), (4, 6), product="own-factors"), (1, 1, 8, 8), 4),
        (PiResNet((1, 8, 8), 3, (1, 1), (4, 6), product="regularised"), (1, 1, 8, 8), 4),
    ],
)
def test_degrees_and_the_runtime(model: nn.Module, shape: tuple[int, ...], degree: int) -> None:
    model = shaken(model)
    x = torch.randn(shape)
    assert polynomial_degree(model, x).degree == degree
    session = onnxruntime.InferenceSession(
        onnx_of_graph(graph_of_module(model, x)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    want = model(x).detach().numpy()
    assert np.allclose(np.asarray(got).reshape(want.shape), want, rtol=1e-4, atol=1e-4)
    assert degree_along(model, x, degree) == degree


def test_a_number_that_begins_with_zero_begins_a_residual_network() -> None:
    model = PiResNet((1, 8, 8), 3, (1, 1), (4, 6), product="regularised").eval()
    assert degree_along(model, torch.randn(1, 1, 8, 8), 4) == 1


def test_the_margin_loss_is_arcface() -> None:
    generator = torch.Generator().manual_seed(0)
    cosines = (2 * torch.rand(50, 4, generator=generator) - 1).double()
    target = torch.randint(4, (50,), generator=generator)
    angles = cosines.arccos()
    moved = torch.where(torch.nn.functional.one_hot(target, 4) > 0, (angles + 0.5).cos(), cosines)
    known = (angles.gather(1, target[:, None])[:, 0] + 0.5) < torch.pi
    want = torch.nn.functional.cross_entropy(30 * moved, target, reduction="none")
    for i in known.nonzero()[:, 0].tolist():
        got = AngularMarginLoss(30, 0.5)(cosines[i : i + 1], target[i : i + 1])
        assert float(got) == pytest.approx(float(want[i]), rel=1e-9, abs=1e-9)
    assert float(AngularMarginLoss(1.0, 0.0)(cosines, target)) == pytest.approx(
        float(torch.nn.functional.cross_entropy(cosines, target))
    )


def test_the_margin_loss_rises_as_the_angle_does_and_has_gradients_at_the_ends() -> None:
    cosine = torch.linspace(-1, 1, 201, dtype=torch.float64).requires_grad_(True)
    rows = torch.stack([cosine, torch.zeros(201).double()], 1)
    losses = torch.stack([AngularMarginLoss(4, 0.5)(r[None], torch.tensor([0])) for r in rows])
    assert bool((losses.detach().diff() < 1e-12).all())
    (slope,) = torch.autograd.grad(losses.sum(), cosine)
    assert bool(torch.isfinite(slope).all())


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"margin": -0.1}, {"margin": 2.0}])
def test_margins_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be positive"):
        AngularMarginLoss(**wrong)
    with pytest.raises(InputError, match="are not classes"):
        AngularMarginLoss()(torch.zeros(2, 3), torch.tensor([0, 3]))


def test_cosines() -> None:
    head = CosineHead(5, 3)
    found = head(7 * head.directions.weight.detach())
    assert torch.allclose(found.diagonal(), torch.ones(3))


def test_a_tone_is_in_its_band_at_any_length_and_loudness() -> None:
    rate = 8000

    def band(f: float, n: int, loud: float) -> int:
        tone = (loud * np.sin(2 * np.pi * f * np.arange(n) / rate)).astype(np.float32)
        return int(spectrogram(tone, rate).mean(1).argmax())

    assert band(440, 3000, 1.0) == band(440, 9000, 100.0) < band(1500, 3000, 1.0) < band(3500, 3000, 1.0)
    assert spectrogram(np.zeros(10, dtype=np.int16), rate).shape == (32, 32)
    assert np.isfinite(spectrogram(np.ones(1), rate)).all()
    for wrong in (np.zeros(0), np.zeros((2, 5)), np.array([np.nan])):
        with pytest.raises(InputError, match="one finite channel"):
            spectrogram(wrong, rate)
