"""Enclosures hold what a map gives at jumps, at ties and where bounds are infinite; the law is laws/test_maps.py."""

import mpmath
import numpy as np
import pytest

from random_maps import points_of
from surefoot.core.errors import InputError
from surefoot.recalibrate.curves import LogOddsCurve, PiecewiseLinear, StepFunction
from surefoot.recalibrate.steps import (
    Affine,
    Curves,
    InverseFocal,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    RowTemperature,
    Softmax,
    Step,
    TopCurve,
    affine,
    apply,
    scaling,
)
from surefoot.verify.enclose import Differences, ProbabilityBox, _curve, enclose

JUMP = InverseFocal(np.array([5.0, 3.0]), np.array([0.2]))


def differences(lower: np.ndarray, upper: np.ndarray) -> Differences:
    found = upper[:, None] - lower[None]
    np.fill_diagonal(found, 0.0)
    return Differences(found)


def holds(steps: tuple[Step, ...], lower: np.ndarray, upper: np.ndarray, rows: np.ndarray) -> ProbabilityBox:
    box = enclose(steps, differences(lower, upper))
    p = apply(steps, rows)
    assert (p >= box.lower).all()
    assert (p <= box.upper).all()
    return box


def test_a_softmax_of_probabilities_is_no_map() -> None:
    """It was enclosed as one softmax: 0.8808 for logits (2, 0), where two give 0.6817."""
    for steps in ((Softmax(), Softmax()), (Softmax(), *affine(3.0)), (Softmax(), JUMP, Softmax())):
        with pytest.raises(InputError, match="takes logits, and is given probabilities"):
            enclose(steps, Differences(np.zeros((2, 2))))
    with pytest.raises(InputError, match="takes logits, and is given probabilities"):
        enclose((Softmax(),), ProbabilityBox(np.zeros(2), np.ones(2)))


@pytest.mark.parametrize("gap", [0.0, 30.0, 40.0, 500.0, 800.0, 1e5])
@pytest.mark.parametrize("warm", [1.0, 1e3, 1e6])
def test_focal_undo_where_p_cannot_be_told_from_0_or_1(gap: float, warm: float) -> None:
    """Through a temperature what undo makes of p = 1 - 1e-17 is seen; it was cut at 1 - 1e-16, and at 1e-300."""
    z = np.array([gap, 0.0, -gap])
    for steps in ((InverseFocal(np.array([3.0]), np.zeros(0)), *scaling(warm)), (JUMP, *scaling(warm))):
        box = holds(steps, z, z, z[None])
        assert (box.upper - box.lower).max() < 1e-6


def test_focal_undo_at_its_threshold_may_be_on_either_side() -> None:
    z = np.log(np.array([0.2, 0.3, 0.5]))
    near = np.array([z, z * (1 + 1e-15), z * (1 - 1e-15), z + np.array([1e-15, 0, 0])])
    box = holds((JUMP, Softmax()), z, z, near)
    sides = [apply((JUMP, Softmax()), np.log(np.array([[0.2 + d, 0.3, 0.5 - d]])))[0, 0] for d in (-1e-10, 1e-10)]
    assert box.lower[0] <= min(sides) + 1e-9
    assert box.upper[0] >= max(sides) - 1e-9


@pytest.mark.parametrize("factor", [-2.0, 0.0, 1e300, -1e300, 1e-300])
def test_factors_of_every_sign_and_size(factor: float) -> None:
    lower, upper = np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, 2.5])
    rows = np.random.default_rng(0).uniform(lower, upper, (50, 3))
    holds(affine(factor, np.array([0.3, 0.0, 0.0])), lower, upper, rows)


def test_infinite_bounds_are_none() -> None:
    known = np.array([[0.0, np.inf, np.nan], [-np.inf, 0.0, np.inf], [np.inf, -np.inf, 0.0]])
    for steps in ((Softmax(),), affine(2.0, np.ones(3)), affine(0.0), (LogSoftmax(), JUMP, Softmax())):
        box = enclose(steps, Differences(known))
        assert np.isfinite(box.lower).all()
        assert np.isfinite(box.upper).all()
        assert (box.lower <= box.upper).all()
        assert box.lower.sum() <= 1
        assert box.upper.sum() >= 1


@pytest.mark.parametrize("a", [0.3, 1e6, -1e6, 1e308])
@pytest.mark.parametrize("b", [0.3, -2.0, 1e6])
def test_log_odds_that_turn_or_are_steep(a: float, b: float) -> None:
    z = np.array([0.3, 0.0])
    steps = (Softmax(), Curves((LogOddsCurve(a, b, -0.5 * a),)), Normalise())
    half = np.array([0.5, 0.0])
    lower, upper = z - half, z + half
    holds(steps, lower, upper, np.stack([np.linspace(lower[0], upper[0], 400), np.zeros(400)], 1))


@pytest.mark.parametrize("factors", [[1.0, 1e-16], [1.0, 0.0, 5e-17], [1.0, 5e-17, 5e-17]])
def test_shares_of_scores_of_very_different_sizes(factors: list[float]) -> None:
    """What is beside a score of 1 was its sum with the others less 1, 0: the least share was 1, and is 1 - 1e-8."""
    k = len(factors)
    lower, upper = np.r_[-18.4, np.zeros(k - 1)], np.r_[40.0, np.zeros(k - 1)]
    box = holds((Softmax(), Reweigh(np.array(factors))), lower, upper, np.stack([lower, upper]))
    assert 1 - box.lower[0] < 2e-8


@pytest.mark.parametrize("a", [1e13, 1e15, -1e13])
@pytest.mark.parametrize("b", [10.0, 2.0])
def test_log_odds_that_turn_near_1_or_near_0(a: float, b: float) -> None:
    """Rounded, the score where the curve turns is off by much of its distance from 1, and the value there by 1e-8."""
    b = -b if a > 0 else b
    with mpmath.workdps(50):
        ratio = -mpmath.mpf(b) / mpmath.mpf(a)
        turn = -mpmath.mpf(a) * mpmath.log1p(ratio) + mpmath.mpf(b) * mpmath.log1p(1 / ratio)
        c = -float(turn)
        there = 1 / (1 + mpmath.exp(-turn - mpmath.mpf(c)))
    for curve, ends in ((LogOddsCurve(a, b, c), (0.5, 1.0)), (LogOddsCurve(-b, -a, c), (0.0, 0.5))):
        least, most = _curve(curve, *ends)
        assert least <= there <= most


def test_a_top_curve_of_a_tie_says_nothing_and_of_one_class_says_all() -> None:
    steps = (Softmax(), TopCurve((StepFunction(np.array([0.6]), np.array([0.9, 0.55])),), np.array(2.0)))
    tie = np.array([1.0, 1.0])
    box = holds(steps, tie, tie, tie[None])
    assert box.lower.tolist() == [0.0, 0.0]
    clear = np.array([2.0, 0.0])
    box = holds(steps, clear, clear, clear[None])
    assert box.upper - box.lower == pytest.approx(np.zeros(2), abs=1e-10)


@pytest.mark.parametrize("factors", [[0.0, 1.0, 1.0], [0.0, 0.0, 1e-300], [1e308, 1e-300, 0.0]])
def test_factors_of_0_and_scores_that_are_all_0(factors: list[float]) -> None:
    z = np.array([800.0, 0.0, 1.0])
    holds((Softmax(), Reweigh(np.array(factors))), z, z, z[None])
    zero = PiecewiseLinear(np.array([0.5, 0.9]), np.array([0.0, 0.0]))
    holds((Softmax(), Curves((zero,)), Normalise()), z, z, z[None])


def test_mixes_of_logits_and_of_probabilities() -> None:
    lower, upper = np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, 2.5])
    rows = np.random.default_rng(0).uniform(lower, upper, (50, 3))
    line = Curves((PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.3, 0.8])),))
    inner = Mix(np.array([0.5, 0.5]), ((), (line, Normalise())))
    holds((Mix(np.array([0.6, 0.3]), (scaling(2.0), (Softmax(), inner))), inner), lower, upper, rows)


def test_what_has_no_bounds_says_so() -> None:
    known = Differences(np.zeros((3, 3)))
    warm = RowTemperature(np.ones((5, 3)), np.zeros(5), np.ones((5, 5)), np.zeros(5), np.ones(5), np.array(0.0))
    with pytest.raises(InputError, match="no certified bounds"):
        enclose((warm, Softmax()), known)
    with pytest.raises(InputError, match="must be the calibrator's first, or follow a log-softmax"):
        enclose((Affine(np.ones(3), np.array(0.0)), Softmax()), known)


def matrix(rng: np.random.Generator, k: int) -> Affine:
    weight = np.eye(k) * rng.choice([0.3, 1.0, 3.0, -1.0]) + rng.choice([0.0, 0.05, 1.0]) * rng.normal(size=(k, k))
    return Affine(weight, rng.normal(size=k))


@pytest.mark.parametrize("seed", range(40))
def test_an_affine_step_behind_a_log_softmax_holds_at_points_and_corners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 6))
    centre, radius = rng.normal(size=k) * rng.choice([1.0, 10.0, 300.0]), rng.choice([0.0, 1e-3, 0.3, 5.0])
    lower, upper = centre - radius, centre + radius
    first = (Affine(np.array(rng.choice([0.5, 2.0, -1.0])), rng.normal(size=k)),) if seed % 2 else ()
    second = (matrix(rng, k),) if seed % 3 else (Affine(rng.normal(size=k), rng.normal(size=k)),)
    third = (Affine(np.array(0.7), np.array(0.1)), matrix(rng, k)) if seed % 5 == 0 else ()
    rows = points_of(rng, lower, upper, 100)
    holds((*first, LogSoftmax(), *second, *third, Softmax()), lower, upper, rows)
    holds((JUMP, *second, Softmax()), lower, upper, rows)


def test_an_affine_step_behind_a_log_softmax_is_exact_at_a_point_and_tight_near_it() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=10) * 4
    steps = (LogSoftmax(), Affine(np.eye(10) * 0.6 + 0.02 * rng.normal(size=(10, 10)), rng.normal(size=10)), Softmax())
    box = holds(steps, z, z, z[None])
    assert (box.upper - box.lower).max() < 1e-10
    box = holds(steps, z - 0.01, z + 0.01, z[None])
    assert (box.upper - box.lower).max() < 0.02
