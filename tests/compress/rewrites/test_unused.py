"""Units that nothing reads go."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.unused import drop_unused

BOX = np.stack([-np.ones(2), np.ones(2)])
X = np.random.default_rng(0).uniform(-1, 1, (200, 2))


def test_units_without_a_reader_go() -> None:
    after = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -2.0]])  # the last one has one reader of two
    layer = HiddenLayer(np.ones((3, 2)), np.array([3.0, 0.1, 0.2]), after, np.ones(2), np.array([1, 0, 0]), BOX)
    made = drop_unused(layer)
    assert made.bias.tolist() == [0.1, 0.2]
    assert np.array_equal(made(X), layer(X))
