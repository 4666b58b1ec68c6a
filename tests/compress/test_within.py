"""`within`: beside the exact largest difference of networks of one input; what is planted is found, or bounded."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pairs import KINDS, graph_of, network_of, on_a_line, twin_of
from surefoot.compress.within import within
from surefoot.core.errors import InputError
from surefoot.reach.dense import DenseNetwork
from surefoot.spec.input_set import InputSet, LinearConstraints
from surefoot.spec.query import Holds, Unknown, Violated

LINE = InputSet(np.array([-1.0]), np.array([1.0]))


def largest_difference(first: DenseNetwork, second: DenseNetwork) -> Fraction:
    k = len(first.biases[-1])
    return max(abs(v) for _, y in on_a_line((first, second), -1.0, 1.0) for v in y[:k] - y[k:])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from([0.5, 0.999, 1.001, 1.5]))
def test_no_verdict_contradicts_the_exact_largest_difference(seed: int, kind: str, times: float) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (1, *rng.integers(2, 5, int(rng.integers(1, 4))).tolist(), 2))
    second = twin_of(rng, first, kind)
    true = largest_difference(first, second)
    most = max(times * float(true), 1e-12)
    verdict = within(graph_of(first), graph_of(second), LINE, most, 5.0)
    if isinstance(verdict, Holds):
        assert true < Fraction(most)
        assert true <= Fraction(verdict.details["bound"]) <= Fraction(most)
    if isinstance(verdict, Violated):
        assert np.abs(verdict.output).max() >= most
        assert float(true) >= most * (1 - 1e-3) - 1e-4  # by float32 execution
    if isinstance(verdict, Unknown) and "bound" in verdict.details:
        assert true <= Fraction(verdict.details["bound"])
    if kind in ("noise", "one weight", "pruned") and float(true) > 1e-3 and times != 0.999:
        assert isinstance(verdict, Holds if times > 1 else Violated)


@pytest.mark.parametrize("seed", range(3))
def test_one_unit_in_the_last_place_is_bounded_and_is_not_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (3, 6, 6, 2))
    second = twin_of(rng, first, "last place")
    cube = InputSet(-np.ones(3), np.ones(3))
    verdict = within(graph_of(first), graph_of(second), cube, 1e-9, 10.0)
    assert isinstance(verdict, Holds)
    assert verdict.method == "differences"
    same = within(graph_of(first), graph_of(first), cube, 1e-9, 10.0)
    assert isinstance(same, Holds)
    assert same.method == "equal-weights"
    assert same.details["bound"] == 0


@pytest.mark.parametrize("height", [0.1, 1.0])
def test_what_differs_in_one_corner_alone_is_found(height: float) -> None:
    """A unit that is active beyond 3.99 of the sum of four inputs from 0 to 1."""
    first = network_of(np.random.default_rng(1), (4, 5, 1))
    weights, biases = [w.clone() for w in first.weights], [b.clone() for b in first.biases]
    corner = torch.tensor([[1.0, 1.0, 1.0, 1.0]]).double()
    weights[0] = torch.cat([weights[0], corner])
    biases[0] = torch.cat([biases[0], torch.tensor([-3.99]).double()])
    weights[1] = torch.cat([weights[1], torch.tensor([[100 * height]]).double()], 1)
    second = graph_of(DenseNetwork(tuple(weights), tuple(biases)))
    cube = InputSet(np.zeros(4), np.ones(4))
    found = within(graph_of(first), second, cube, 0.9 * height, 20.0)
    assert isinstance(found, Violated)
    assert found.input.min() > 0.99
    kept = within(graph_of(first), second, cube, 1.1 * height, 20.0)
    assert isinstance(kept, Holds)
    assert height * 0.999 <= kept.details["bound"]


def test_a_counterexample_satisfies_the_rows_of_the_domain() -> None:
    """They differ by x_0 + x_1, which rows keep below 1."""
    eye = torch.eye(2).double()
    first = DenseNetwork((eye, torch.ones(1, 2).double()), (torch.zeros(2).double(), torch.zeros(1).double()))
    second = DenseNetwork((eye, torch.zeros(1, 2).double()), first.biases)
    cut = InputSet(np.zeros(2), np.ones(2), LinearConstraints.of([[1, 1]], [1]))
    graphs = graph_of(first), graph_of(second)
    found = within(*graphs, cut, 0.9, 10.0)
    assert isinstance(found, Violated)
    assert found.input.sum() <= 1
    assert not isinstance(within(*graphs, cut, 1.5, 10.0), Violated)
    assert isinstance(within(*graphs, InputSet(np.zeros(2), np.ones(2)), 1.5, 10.0), Violated)


@pytest.mark.parametrize("most", [0.0, -1.0, np.inf, np.nan])
def test_what_is_no_difference_is_refused(most: float) -> None:
    graph = graph_of(network_of(np.random.default_rng(0), (1, 2, 1)))
    with pytest.raises(InputError, match="a positive number is needed"):
        within(graph, graph, LINE, most, 1.0)
