"""Polytopes hold what thresholds mean, and halving proves what is true, and nothing else."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from networks import random_network
from queries import softmax_network
from surefoot.core.deadline import Deadline
from surefoot.graph.graph import evaluate
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.softmax import flat_output
from surefoot.spec.input_set import InputSet
from surefoot.spec.outputs import of_logits
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.probabilities import polytopes, prove_by_bisection


@pytest.mark.parametrize("seed", range(12))
def test_polytopes_hold_the_sets_that_they_stand_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = pools_as_relus(flat_output(random_network(seed)))
    d, k = int(np.prod(graph.input_shape)), graph.output_shape[0]
    if k < 3:
        pytest.skip("two classes need no thresholds")
    centre = rng.normal(size=d)
    lower, upper = centre - 0.3, centre + 0.3
    x = torch.from_numpy(rng.uniform(lower, upper, (3000, d))).reshape(-1, *graph.input_shape)
    z = evaluate(graph, x).numpy()
    p = softmax(z, axis=1)
    for sign in (1.0, -1.0):
        for c in np.quantile(p[:, 0], [0.001, 0.3, 0.999]):
            query = Query(InputSet(lower, upper), (Unsafe(sign * np.eye(k)[:1], np.array([sign * c])),))
            found = polytopes(graph, query, of_logits(query, "softmax").sets)
            inside = np.any([(z @ u.weights.T <= u.bounds).all(1) for u in found], axis=0)
            assert inside[query.slack(p) <= 0].all()


def test_halving_says_nothing_when_time_is_up_or_something_breaks() -> None:
    net = softmax_network(0, log=False)
    asked = Query(InputSet(np.full(2, -0.5), np.full(2, 0.5)), (Unsafe(np.eye(3)[:1], np.array([1e-12])),))
    sets = of_logits(asked, "softmax").sets
    assert prove_by_bisection(net.pooled, asked, sets, Deadline.of(10.0), lambda x: None) > 0
    assert prove_by_bisection(net.pooled, asked, sets, Deadline.of(-1.0), lambda x: None) == -np.inf
    broken = Query(asked.inputs, (Unsafe(np.eye(3)[:1], np.array([0.999])),))
    assert (
        prove_by_bisection(net.pooled, broken, of_logits(broken, "softmax").sets, Deadline.of(10.0), lambda x: x)
        == -np.inf
    )
