"""Units that were permuted or removed find each other; whatever is matched, no network changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pairs import exactly, network_of
from surefoot.compress.alignment import aligned, matched
from surefoot.reach.dense import DenseNetwork


def mixed(rng: np.random.Generator, network: DenseNetwork, removed: int = 0) -> DenseNetwork:
    """Permute the units of each hidden layer, and remove some."""
    weights, biases = list(network.weights), list(network.biases)
    for k in range(len(weights) - 1):
        order = torch.from_numpy(rng.permutation(len(biases[k]))[: len(biases[k]) - removed])
        weights[k], biases[k], weights[k + 1] = weights[k][order], biases[k][order], weights[k + 1][:, order]
    return DenseNetwork(tuple(weights), tuple(biases))


@pytest.mark.parametrize("seed", range(5))
def test_a_permuted_network_is_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = network_of(rng, (4, 7, 6, 5, 2))
    pair = aligned(network, mixed(rng, network))
    assert pair is not None
    assert pair.is_equal


@given(st.integers(0, 10**6))
def test_what_is_matched_changes_no_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, 4))
    sizes = [(3, *rng.integers(1, 5, depth).tolist(), 2) for _ in range(2)]
    first, second = (network_of(rng, size) for size in sizes)
    pair = aligned(first, second)
    assert pair is not None
    x = rng.normal(size=3)
    for before, after in ((first, pair.first), (second, pair.second)):
        assert (exactly(before, x)[1] == exactly(after, x)[1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_of_a_network_finds_its_units(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = network_of(rng, (6, 8, 2))
    pair = aligned(network, mixed(rng, network, 2))
    assert pair is not None
    assert int((pair.weights[0] == 0).all(1).sum()) == 6  # the others have no partner


@given(st.integers(0, 10**6))
def test_each_row_is_matched_once_and_no_match_is_farther_than_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(int(rng.integers(1, 6)), 3)), rng.normal(size=(int(rng.integers(1, 6)), 3))
    one, two = matched(first, second)
    assert sorted(one[one >= 0]) == list(range(len(first)))
    assert sorted(two[two >= 0]) == list(range(len(second)))
    for i, j in zip(one, two, strict=True):
        assert max(i, j) >= 0
        if min(i, j) >= 0:
            assert first[i] @ second[j] >= 0


def test_networks_of_other_depths_or_ends_are_not_paired() -> None:
    rng = np.random.default_rng(0)
    one = network_of(rng, (2, 3, 1))
    for sizes in ((2, 3, 3, 1), (3, 3, 1), (2, 3, 2)):
        assert aligned(one, network_of(rng, sizes)) is None
