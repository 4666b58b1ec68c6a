"""Positive multiples of a unit are that unit; negative ones, and what differs in the last digits, are not."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.proportional import merge_proportional

BOX = np.stack([-np.ones(2), np.ones(2)])
X = np.random.default_rng(0).uniform(-1, 1, (200, 2))


def of(before: list[list[float]], offset: list[float]) -> HiddenLayer:
    n = len(before)
    return HiddenLayer(
        np.array(before), np.array(offset), np.arange(1.0, n + 1)[None], np.zeros(1), np.zeros(n, int), BOX
    )


def test_multiples_are_merged_with_their_factor() -> None:
    layer = of([[1.0, -2.0], [3.0, -6.0], [0.5, -1.0]], [0.3, 0.9, 0.15])
    made = merge_proportional(layer)
    assert made.units == 1
    assert made.after.ravel().tolist() == [1 + 3 * 2 + 0.5 * 3]
    assert np.allclose(made(X), layer(X), rtol=1e-12)


def test_opposites_other_offsets_and_near_ones_stay() -> None:
    for layer in (
        of([[1.0, -2.0], [-1.0, 2.0]], [0.3, -0.3]),
        of([[1.0, -2.0], [1.0, -2.0]], [0.3, 0.4]),
        of([[1.0, -2.0], [1.0, -2.0 + 1e-9]], [0.3, 0.3]),  # to six digits the same
    ):
        assert merge_proportional(layer) is layer
