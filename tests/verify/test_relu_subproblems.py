"""A subproblem is bounded the same however its slopes and multipliers are kept."""

import numpy as np
import pytest
import torch

from cases import first
from reach.test_dual_ascent import random_dual
from reach.test_reduced import relaxed
from surefoot.reach.reduced import ReducedNetwork
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.relu_subproblems import Packed, Sets, Subproblem, bound_again, rounded, split_leaves


@pytest.mark.parametrize("seed", first(8, range(60)))
def test_packed_subproblems_are_bounded_as_others(seed: int) -> None:
    relaxation, _, _ = relaxed(seed)
    network = ReducedNetwork.of(relaxation)
    assert network is not None
    box = relaxation.boxes[0]
    ends = (box.lower.flatten().numpy(), box.upper.flatten().numpy())
    rng = np.random.default_rng(seed)
    unsafe = tuple(Unsafe(rng.normal(size=(2, 3)), rng.normal(size=2)) for _ in range(2))
    query = Query(InputSet(*ends), unsafe)
    sets = Sets(relaxation, query)
    unstable = network.unstable
    dual = random_dual(network, 5, seed)
    packed, plain = [], []
    for i in range(5):
        signs = tuple(
            (*unstable.neuron(j), int(dual.signs[i, j])) for j in range(network.count) if dual.signs[i, j] != 0
        )
        one = Subproblem(i % 2, signs, Packed(unstable, dual.of(slice(i, i + 1))), row=sets.chosen[i % 2])
        packed.append(one)
        plain.append(Subproblem(i % 2, signs, one.choice, row=one.row))
    left, right = (rounded(relaxation, sets, some)[0] for some in (packed, plain))
    assert torch.allclose(left, right, rtol=1e-9, atol=1e-9)
    assert bound_again(relaxation, query, packed) == pytest.approx(float(left.min()), rel=1e-9, abs=1e-9)
    for one, two in zip(split_leaves(packed, 0), split_leaves(plain, 0), strict=True):
        assert one.signs == two.signs
        for kind in ("slopes", "multipliers"):
            first_kind, second_kind = getattr(one, kind), getattr(two, kind)
            assert first_kind.keys() == second_kind.keys()
            assert all(np.array_equal(first_kind[at], second_kind[at]) for at in first_kind)
