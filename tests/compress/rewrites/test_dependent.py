"""Active units that are sums of others go into them; unstable ones stay."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.dependent import merge_dependent

BOX = np.stack([-np.ones(2), np.ones(2)])
X = np.random.default_rng(0).uniform(-1, 1, (200, 2))


def of(before: list[list[float]], signs: list[int]) -> HiddenLayer:
    n = len(before)
    after = np.random.default_rng(1).normal(size=(3, n))
    return HiddenLayer(np.array(before), 10.0 + np.arange(n), after, np.ones(3), np.array(signs), BOX)


def test_as_many_active_units_stay_as_their_weights_have_dimensions() -> None:
    layer = of([[1.0, 0.5], [0.0, 2.0], [1.0, -3.5], [2.0, 1.0]], [1, 1, 1, 1])
    made = merge_dependent(layer)
    assert made.units == 2
    assert np.allclose(made(X), layer(X), rtol=1e-12)


def test_only_active_units_are_merged() -> None:
    layer = of([[1.0, 0.5], [0.0, 2.0], [1.0, -3.5]], [1, 1, 0])
    assert merge_dependent(layer) is layer
