"""Units that are never active go, and no others."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.inactive import drop_inactive

BOX = np.stack([-np.ones(2), np.ones(2)])
X = np.random.default_rng(0).uniform(-1, 1, (200, 2))


def test_inactive_units_go_and_the_rest_is_as_it_was() -> None:
    before = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, -1.0]])
    layer = HiddenLayer(before, np.array([-2.0, 0.1, 3.0]), np.ones((1, 3)), np.zeros(1), np.array([-1, 0, 1]), BOX)
    made = drop_inactive(layer)
    assert made.signs.tolist() == [0, 1]
    assert np.array_equal(made.before, before[1:])
    assert np.allclose(made(X), layer(X), rtol=0, atol=1e-15)
