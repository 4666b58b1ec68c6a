"""Branching over the reduced network: halves cover, and the ReLU with the best worse half is taken: brute force."""

import pytest
import torch

from cases import first
from reach.test_dual_ascent import case, random_dual
from surefoot.reach.dual_ascent import bound
from surefoot.reach.unstable import Dual
from surefoot.verify.reduced_splitting import best_halves, halves, influence


@pytest.mark.parametrize("seed", first(10, range(100)))
def test_the_best_of_the_candidates_is_taken(seed: int) -> None:
    _, network, _, rows = case(seed, 6)
    dual = random_dual(network, 6, seed, 0.5)
    found = bound(network, rows, dual)
    parents, which, both = best_halves(network, rows, dual, found, network.count)
    undecided = dual.signs == 0
    assert parents.tolist() == undecided.any(1).nonzero().squeeze(1).tolist()
    for i, (region, chosen) in enumerate(zip(parents.tolist(), which.tolist(), strict=True)):
        one = rows.of(torch.tensor([region]))
        values = torch.where(undecided[region], dual.values[region], 0.0)
        worth = {}
        for at in undecided[region].nonzero().squeeze(1).tolist():
            margins = []
            for sign in (1.0, -1.0):
                signs, x = dual.signs[region].clone(), values.clone()
                signs[at], x[at] = sign, 0.0
                margins.append(float(bound(network, one, Dual(signs[None], x[None])).values))
            worth[at] = min(margins) + 0.1 * min(max(margins), 0.0)
        assert worth[chosen] >= max(worth.values()) - 1e-3 * (1 + abs(worth[chosen]))
        for half, sign in ((i, 1.0), (len(parents) + i, -1.0)):
            expected = dual.signs[region].clone()
            expected[chosen] = sign
            assert torch.equal(both.signs[half], expected)
            rest = torch.arange(network.count) != chosen
            assert torch.equal(both.values[half][rest], dual.values[region][rest])


def test_decided_relus_are_worth_nothing() -> None:
    _, network, _, rows = case(3, 3)
    dual = random_dual(network, 3, 3, 0.5)
    scores = influence(network, dual, bound(network, rows, dual))
    assert bool((scores[dual.signs != 0] == 0).all())
    assert bool((scores[dual.signs == 0] > 0).all())
    all_decided = Dual(torch.ones_like(dual.signs), dual.values)
    parents, _, _ = best_halves(network, rows, all_decided, bound(network, rows, all_decided), 12)
    assert not len(parents)


@pytest.mark.parametrize("seed", range(4))
def test_halves_differ_in_one_sign(seed: int) -> None:
    _, network, _, rows = case(seed, 2)
    if not network.count:
        pytest.skip("no ReLU is unstable")
    dual = Dual(torch.zeros(2, network.count), torch.rand(2, network.count))
    which = torch.zeros(2, dtype=torch.long)
    one, other = halves(dual, which, bound(network, rows, dual).entering[:, 0])
    assert one.signs[:, 0].tolist() == [1.0, 1.0]
    assert other.signs[:, 0].tolist() == [-1.0, -1.0]
    assert not bool(one.signs[:, 1:].any() | other.signs[:, 1:].any())
    assert bool(((one.values >= 0) & (other.values >= 0)).all())
