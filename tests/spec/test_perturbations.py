"""Regions hold what they say, and nothing else."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import ball, brightening, line, linf_ball, patch, pixels, polytope, zonotope
from surefoot.spec.query import Holds, Unknown, Unsafe, Violated, other_classes, robustness
from surefoot.verify.network import Network, region_to_query
from surefoot.verify.run import verify

IMAGE = np.linspace(0, 1, 32).reshape(2, 4, 4)


def test_boxes() -> None:
    near = linf_ball(IMAGE, 0.1, 0.0, 1.0)
    assert near.lower[0] == 0
    assert near.upper[-1] == 1
    bright = brightening(IMAGE, 0.5, 0.2)
    assert np.allclose(bright.upper[IMAGE.ravel() >= 0.5], 0.2 * IMAGE.ravel()[IMAGE.ravel() >= 0.5])
    assert np.array_equal(bright.lower[IMAGE.ravel() < 0.5], IMAGE.ravel()[IMAGE.ravel() < 0.5])
    square = patch(IMAGE, 1, 2, 2, -1.0, 2.0)
    free = (square.upper > square.lower).reshape(IMAGE.shape)
    assert free[:, 1:3, 2:4].all()
    assert free.sum() == 8
    assert (pixels(IMAGE, np.array([3]), 0.0, 1.0).upper != IMAGE.ravel()).sum() == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: linf_ball(IMAGE, -0.1, 0, 1), "radius of at least 0"),
        (lambda: linf_ball(IMAGE * 255, 0.1, 0, 1), "valid range is 0 to 1"),
        (lambda: linf_ball(IMAGE * np.nan, 0.1, 0, 1), "finite numbers"),
        (lambda: ball(IMAGE, -0.1, 2, 0, 1), "radius of at least 0"),
        (lambda: ball(IMAGE, np.inf, 2, 0, 1), "radius of at least 0"),
        (lambda: patch(IMAGE, 3, 3, 2, 0, 1), "not inside an image of 4 x 4"),
        (lambda: patch(IMAGE.ravel(), 0, 0, 2, 0, 1), r"needs an image \(c, h, w\)"),
        (lambda: pixels(IMAGE, np.array([32]), 0, 1), "places from 0 to 31"),
        (lambda: line(IMAGE, IMAGE[0], 0, 1), "lie on no line"),
        (lambda: line(IMAGE, IMAGE, 0, -1), "length of at least 0"),
        (lambda: zonotope(IMAGE, np.ones((2, 5))), "do not fit an image"),
        (lambda: polytope(IMAGE, np.ones((2, 32)), np.ones((1, 3)), np.ones(1)), "do not fit 2 inputs"),
        (lambda: robustness(InputSet(np.zeros(2), np.ones(2)), 3, 3), "label 3 is not one of 3"),
        (lambda: robustness(InputSet(np.ones(2), np.zeros(2)), 0, 3), "region is empty: input 0 from 1 to 0"),
    ],
)  # fmt: skip
def test_what_is_no_region_is_refused(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def test_lines_zonotopes_and_polytopes_against_sampling() -> None:
    rng = np.random.default_rng(0)
    decided = 0
    for seed in range(12):
        graph = random_network(seed)
        network = Network.of(graph)
        x = rng.normal(size=graph.input_shape)
        directions = 0.05 * rng.normal(size=(3, *graph.input_shape))
        label = int(evaluate(graph, torch.from_numpy(x)[None]).argmax())
        unsafe = other_classes(label, 3)
        cut = polytope(x, directions, np.ones((1, 3)), np.array([0.5]))
        for region in (line(x, x + directions[0] * 4, 0.0, 1.0), zonotope(x, directions), cut):
            there, query = region_to_query(network, region, unsafe)
            a = rng.uniform(region.lower, region.upper, (300, len(region.lower)))
            a = a[[region.contains(point) for point in a]]
            assert region.origin is not None
            y = evaluate(graph, torch.from_numpy(region.origin(a).reshape(-1, *graph.input_shape)))
            for method in ("auto", "star"):
                verdict = verify(there, query, 3.0, method)
                match verdict:
                    case Holds():
                        assert (y.argmax(1) == label).all()
                        decided += 1
                    case Violated():
                        image = region.origin(verdict.input)
                        seen = evaluate(graph, torch.from_numpy(image).reshape(1, *graph.input_shape))
                        assert float(seen[0, label] - seen[0].topk(2).values[1 - int(seen.argmax() != label)]) < 1e-4
                        decided += 1
                    case Unknown():
                        pass
    assert decided > 40


def test_an_empty_polytope_is_refused() -> None:
    graph = random_network(1)
    size = int(np.prod(graph.input_shape))
    region = polytope(np.zeros(size), np.eye(size)[:2], np.array([[1.0, 1.0]]), np.array([-3.0]))
    there, query = region_to_query(Network.of(graph), region, (Unsafe(np.eye(3)[:1], np.zeros(1)),))
    with pytest.raises(InputError, match="region is empty"):
        verify(there, query, 3.0, "star")


def test_a_region_narrower_than_float32_is_replayed_beside_it() -> None:
    """Trap A12: between two neighbouring float32 numbers the nearest is replayed, and how far off it is is said."""
    graph = random_network(1)
    network = Network.of(graph)
    low = np.full(network.inputs, 0.1)
    verdicts = [verify(network, robustness(InputSet(low, low + 1e-10), label, 3), 3.0) for label in (0, 1)]
    violated = next(v for v in verdicts if isinstance(v, Violated))
    assert violated.distance_to_region == pytest.approx(float(np.float32(0.1)) - 0.1 - 1e-10, rel=1e-6)
    assert (violated.input == np.float32(0.1)).all()


def test_a_point_of_a_line_is_replayed_at_the_nearest_image() -> None:
    image = np.array([0.1, 0.2, 0.3])
    builder = GraphBuilder((3,))
    builder.add(Linear(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)), 0)
    network = Network.of(builder.build())
    region = line(image, image + np.array([0.05, 0.0, 0.0]), 0.25, 0.5)
    there, query = region_to_query(network, region, other_classes(0, 2))
    found = verify(there, query, 5.0)
    assert isinstance(found, Violated)
    exact = [Fraction(0.1) + Fraction(found.input[0]) * Fraction(image[0] + 0.05 - 0.1), Fraction(0.2), Fraction(0.3)]
    seen = [Fraction(float(np.float32(v))) for v in (image[0] + found.input[0] * (image[0] + 0.05 - 0.1), 0.2, 0.3)]
    assert found.distance_to_region >= max(abs(a - b) for a, b in zip(exact, seen, strict=True)) > 0
    assert found.distance_to_region < 1e-7
