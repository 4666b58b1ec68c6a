"""What active units pass on has a rank: as many new units carry it, active over the whole domain."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.bottleneck import bottleneck

BOX = np.stack([-np.ones(2), np.ones(2)])
X = np.random.default_rng(0).uniform(-1, 1, (200, 2))


def of(rank: int, active: int, seed: int) -> HiddenLayer:
    """Active units whose product with what reads them has a rank, and one that is unstable."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(active + 1, 2))
    after = rng.normal(size=(4, rank)) @ rng.normal(size=(rank, active + 1))
    offset = np.append(np.abs(before[:-1]).sum(1) + rng.random(active), 0.1)
    return HiddenLayer(before, offset, after, rng.normal(size=4), np.append(np.ones(active, int), 0), BOX)


def test_as_many_units_carry_it_as_it_has_dimensions() -> None:
    for seed in range(5):
        layer = of(1, 5, seed)
        made = bottleneck(layer)
        assert made.units == 1 + 1
        assert np.allclose(made(X), layer(X), atol=1e-9)
        corners = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
        z = corners @ made.before.T + made.bias
        assert (z[:, made.signs > 0] > 0).all()


def test_where_nothing_is_won_nothing_changes() -> None:
    layer = of(2, 2, 0)
    assert bottleneck(layer) is layer
    assert bottleneck(of(1, 1, 0)).units == 2


def test_units_that_cancel_leave_a_constant() -> None:
    layer = HiddenLayer(
        np.array([[1.0, 0.0], [1.0, 0.0]]),
        np.array([2.0, 5.0]),
        np.array([[1.0, -1.0]]),
        np.zeros(1),
        np.ones(2, int),
        BOX,
    )
    made = bottleneck(layer)
    assert made.units == 0
    assert np.allclose(made(X), -3.0)
