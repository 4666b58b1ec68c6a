"""What is certain of images: pictures that hold what they show."""

import numpy as np
import torch

from networks import random_network
from surefoot.evaluate.certified import polygon, show
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Linear, Relu, Reshape
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import linf_ball
from surefoot.spec.query import robustness
from surefoot.verify.confidence import certify
from surefoot.verify.network import Network
from surefoot.verify.stars import over_approximate, star_of_inputs


def test_counterexamples_are_shown_as_sets() -> None:
    """Two inputs, their difference as outputs: the wrong ones are those on the other side of the tie."""
    builder = GraphBuilder((1, 1, 2))
    builder.add(Linear(torch.eye(2).double()), builder.add(Reshape((2,)), builder.add(Relu(), 0)))
    network, image = Network.of(builder.build()), np.array([[[0.5, 0.45]]])
    region = linf_ball(image, 0.1, 0.0, 1.0)
    shown = show(network, 0, image, 0, region, certify(network, region, None), 10.0)
    assert shown.other is not None
    assert shown.sets
    for patch in shown.sets:
        assert (patch[:, 1] >= patch[:, 0] - 1e-9).all()
        assert (np.abs(patch - shown.other.ravel()) <= 0.002 + 1e-6).all()


def test_a_polygon_holds_the_outputs() -> None:
    graph = random_network(3)
    n = int(np.prod(graph.input_shape))
    query = robustness(InputSet(np.zeros(n), np.full(n, 0.2)), 0, 3)
    star = over_approximate(graph, star_of_inputs(query.inputs, graph.input_shape), query, use_lps=False).star
    corners = polygon(star, 0, 2)
    rng = np.random.default_rng(0)
    m = star.predicate.variables
    for _ in range(50):
        a = rng.uniform(star.predicate.lower, star.predicate.upper)
        if (star.predicate.rows @ a <= star.predicate.bounds).all():
            y = star.member(a).numpy()[[0, 2]]
            edges = np.roll(corners, -1, 0) - corners
            sides = edges[:, 0] * (y[1] - corners[:, 1]) - edges[:, 1] * (y[0] - corners[:, 0])
            assert (sides >= -1e-7).all() or (sides <= 1e-7).all()
    assert m >= n
