"""Hidden layers: evaluated by the formula, and units that go take their columns along."""

import numpy as np

from surefoot.compress.hidden_layer import HiddenLayer

RNG = np.random.default_rng(0)


def layer() -> HiddenLayer:
    ends = np.stack([-np.ones(3), np.ones(3)])
    return HiddenLayer(
        RNG.normal(size=(4, 3)),
        RNG.normal(size=4),
        RNG.normal(size=(2, 4)),
        RNG.normal(size=2),
        np.array([1, 0, -1, 0]),
        ends,
    )


def test_it_is_its_formula_row_by_row() -> None:
    s, x = layer(), RNG.normal(size=(5, 3))
    want = [
        s.output_bias + sum(s.after[:, i] * max(0.0, s.before[i] @ row + s.bias[i]) for i in range(s.units))
        for row in x
    ]
    assert np.allclose(s(x), want)
    assert np.allclose(s.moved(np.array([1.0, -2.0]))(x), s(x) + np.array([1.0, -2.0]))


def test_units_that_stay_keep_their_weights() -> None:
    s, x = layer(), RNG.normal(size=(5, 3))
    gone = np.array([False, True, False, False])
    kept, other = s.keep(~gone), s.keep(gone)
    assert (kept.units, kept.signs.tolist()) == (3, [1, -1, 0])
    assert np.allclose(kept(x) + other(x) - s.output_bias, s(x))  # every unit is in one of the two
