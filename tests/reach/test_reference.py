"""Values far closer than float64: within their error of the exact ones, whatever the network; and the error is tiny."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from networks import random_network
from rational import values_of
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, Linear, MaxPool2d, Mul, Relu, Reshape
from surefoot.reach.reference import has_reference, reference_at

LEAST = Fraction(2) ** -60


def point_of(graph: Graph, seed: int, scale: float = 1.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(1, *graph.input_shape)) * scale)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e150])
def test_every_value_is_within_its_error_of_the_exact_one(seed: int, scale: float) -> None:
    graph = random_network(seed)
    x = point_of(graph, seed, scale)
    reference, exact = reference_at(graph, x), values_of(graph, x.numpy())
    for at, truth in enumerate(exact):
        parts = (reference.values[at], reference.lows[at], reference.errors[at], reference.error(at))
        for t, high, low, error, both in zip(truth, *(p.flatten().tolist() for p in parts), strict=True):
            assert abs(t - Fraction(high) - Fraction(low)) <= Fraction(error)
            assert abs(t - Fraction(high)) <= Fraction(both)


@pytest.mark.parametrize("seed", range(30))
def test_the_error_is_far_below_that_of_float64(seed: int) -> None:
    graph = random_network(seed)
    reference = reference_at(graph, point_of(graph, seed))
    for value, error in zip(reference.values, reference.errors, strict=True):
        assert float(error.max()) <= 1e-20 * (1 + float(value.abs().max()))


def test_what_float64_loses_is_kept() -> None:
    builder = GraphBuilder((3,))
    row = torch.tensor([[1.0, 1.0, -1.0]], dtype=torch.float64)
    graph = builder.build(builder.add(Linear(row, torch.tensor([2.0**-70], dtype=torch.float64)), 0))
    x = torch.tensor([[1.0, 2.0**-60, 1.0]], dtype=torch.float64)
    assert float(reference_at(graph, x).values[-1]) == 2.0**-60 + 2.0**-70


@given(st.lists(st.floats(-1e30, 1e30, allow_nan=False), min_size=4, max_size=4), st.integers(0, 2**32))
def test_sums_and_pools_of_any_numbers(numbers: list[float], seed: int) -> None:
    builder = GraphBuilder((1, 2, 2))
    twice = builder.add(Add(), 0, builder.add(Relu(), 0))
    pooled = builder.add(MaxPool2d((2, 2), (1, 1), (1, 0, 0, 1)), twice)
    graph = builder.build(builder.add(Reshape((4,)), pooled))
    x = torch.tensor(numbers, dtype=torch.float64).reshape(1, 1, 2, 2)
    reference = reference_at(graph, x)
    for t, high, low, error in zip(
        values_of(graph, x.numpy())[-1],
        *(p[-1].flatten().tolist() for p in (reference.values, reference.lows, reference.errors)),
        strict=True,
    ):
        assert abs(t - Fraction(high) - Fraction(low)) <= Fraction(error)


def test_products_of_branches_have_none() -> None:
    builder = GraphBuilder((2,))
    graph = builder.build(builder.add(Mul(), 0, 0))
    assert not has_reference(graph)
    with pytest.raises(InputError, match="Mul"):
        reference_at(graph, torch.ones(1, 2, dtype=torch.float64))
