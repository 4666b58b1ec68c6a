"""Units that no input moves become part of the shift; what they would pass on is clipped at 0."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.constant import fold_constant

BOX = np.stack([-np.ones(2), np.ones(2)])
X = np.random.default_rng(0).uniform(-1, 1, (200, 2))


def test_constants_are_folded_as_their_relu_gives_them() -> None:
    before = np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    after = np.array([[2.0, 1.0, 5.0]])
    layer = HiddenLayer(before, np.array([0.7, 0.1, -9.0]), after, np.array([1.0]), np.array([1, 0, -1]), BOX)
    made = fold_constant(layer)
    assert made.units == 1
    assert made.output_bias.tolist() == [1.0 + 2.0 * 0.7]  # -9 is cleared away
    assert np.allclose(made(X), layer(X), rtol=0, atol=1e-15)


def test_without_constants_nothing_is_touched() -> None:
    layer = HiddenLayer(np.eye(2), np.ones(2), np.ones((1, 2)), np.zeros(1), np.zeros(2, int), BOX)
    assert fold_constant(layer) is layer
