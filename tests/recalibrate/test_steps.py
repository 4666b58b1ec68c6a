"""Steps at the ends of what a float64 can hold: right, or refused, never no number."""

import warnings

import numpy as np
import pytest
from scipy.special import log_softmax

from surefoot.core.errors import InputError
from surefoot.recalibrate.curves import LogOddsCurve, PiecewiseLinear
from surefoot.recalibrate.steps import (
    Affine,
    Curves,
    InverseFocal,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    Softmax,
    Step,
    TopCurve,
    affine,
    apply,
    keeps_top,
    scaling,
)

UNDO = InverseFocal(np.array([3.0]), np.zeros(0))
FLAT = PiecewiseLinear(np.array([0.0]), np.array([0.6]))
MAPS: list[tuple[Step, ...]] = [
    (Softmax(),),
    scaling(2.0),
    (LogSoftmax(), Softmax()),
    (UNDO, Softmax()),
    (UNDO, *scaling(1000.0)),
    (Softmax(), Curves((LogOddsCurve(2.0, 2.0, -5.0),)), Normalise()),
    (Softmax(), TopCurve((FLAT,), np.array(0.0))),
    (Mix(np.array([0.5, 0.25]), ((Softmax(),), scaling(3.0))),),
]


@pytest.mark.parametrize("steps", MAPS)
@pytest.mark.parametrize("k", [2, 3, 1000])
@pytest.mark.parametrize("mask", [-1e9, -65504.0, float(np.finfo(np.float32).min), -1e308, -np.inf])
def test_masked_and_extreme_logits_have_probabilities(steps: tuple[Step, ...], k: int, mask: float) -> None:
    z = np.random.default_rng(0).normal(size=(6, k))
    z[0, 0], z[1, 1:], z[2, -1], z[3] = mask, mask, 1e308, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = apply(steps, z)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert np.abs(p.sum(1) - 1).max() < 1e-12


def test_logits_beyond_float64_are_refused_and_named() -> None:
    for steps in (affine(1e300), affine(np.full((3, 3), 1e300)), (Mix(np.ones(1), (affine(1e300),)),)):
        with pytest.raises(InputError, match=r"step 1 \(affine\) makes .* of row 1: .* larger than a float64"):
            apply(steps, np.array([[1.0, 2.0, 3.0], [1e10, 0.0, -1e10]]))
    assert apply(affine(1e300), np.array([[2.0, 1.0]])).tolist() == [[1.0, 0.0]]
    with pytest.raises(InputError, match="makes nan"):
        apply((Softmax(),)[:0] + scaling(1.0), np.full((1, 3), np.nan))


def test_focal_undo_keeps_its_digits_where_the_others_underflow() -> None:
    """log(1 - p) of the largest is the log-sum of the others, also where that is below the least float64."""
    for gap in (600.0, 700.0, 740.0, 760.0, 5000.0):
        z = np.array([[gap, 0.0, 0.0, 0.0]])
        left = log_softmax([[0.0, 0.0, 0.0]], 1).max() * -1 - gap  # log of three equal ones
        found = UNDO(z)[0, 0]
        assert found == pytest.approx(-3 * left - np.log1p(3.0), rel=1e-12)


def test_reweighing_by_huge_factors_is_reweighing_by_their_ratios() -> None:
    p = np.array([[0.5, 0.25, 0.25]])
    assert Reweigh(np.array([1e308, 1e308, 0.5e308]))(p) == pytest.approx(Reweigh(np.array([2.0, 2.0, 1.0]))(p))


def test_a_power_of_0_shares_equally() -> None:
    p = TopCurve((FLAT,), np.array(0.0))(np.array([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]]))
    assert p == pytest.approx(np.array([[0.6, 0.2, 0.2]] * 2))


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        (scaling(2.0), True),
        (affine(-1.0), False),
        (affine(0.0), False),
        (affine(1.0, np.array([1.0, 0.0, 0.0])), False),
        (affine(np.ones(3)), False),
        ((UNDO, Softmax()), True),
        ((InverseFocal(np.array([5.0, 3.0]), np.array([0.2])), Softmax()), False),
        ((Softmax(), TopCurve((FLAT,), np.array(1.0))), True),
        ((Softmax(), Curves((FLAT,)), Normalise()), False),
        ((Softmax(), Reweigh(np.array([1.0, 1.0, 2.0]))), False),
        ((Mix(np.zeros(1), ((Softmax(),),)),), False),
        ((Mix(np.ones(1), (affine(-1.0),)),), False),
        ((Mix(np.ones(1), (scaling(3.0),)),), True),
    ],
)
def test_which_maps_keep_the_largest(steps: tuple[Step, ...], kept: bool) -> None:
    assert keeps_top(steps) is kept
    if kept:
        z = np.random.default_rng(0).normal(size=(500, 3)) * 4
        assert (apply(steps, z).argmax(1) == z.argmax(1)).all()


def test_weights_that_round_to_more_than_one_give_no_probability_above_it() -> None:
    weights = np.array([0.7598465027422802, 0.24015349725772])
    assert weights.sum() > 1
    sure = (Affine(np.array(1e4), np.array(0.0)), Softmax())
    assert apply((Mix(weights, (sure, sure)),), np.array([[1.0, 0.0]])).tolist() == [[1.0, 0.0]]
