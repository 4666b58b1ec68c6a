"""The undo calibrator against 50 digits, and its bad settings."""

import mpmath
import numpy as np
import pytest

from surefoot.recalibrate import InverseFocal, InverseFocalTemperature


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0, 5.0])
def test_undo_is_its_formula_to_many_digits(gamma):
    logits = np.array([[0.0, -1.0, -40.0], [30.0, 0.0, 1.0], [1e-3, 0.0, 0.0]])
    probs = InverseFocal(gamma).fit(logits, [0, 0, 0]).predict_proba(logits)
    for row, got in zip(logits, probs, strict=True):
        with mpmath.workdps(50):
            mass = [mpmath.e ** mpmath.mpf(z) for z in row]
            v = [m / mpmath.fsum(mass) for m in mass]
            u = [mpmath.fsum(mass[:i] + mass[i + 1 :]) / mpmath.fsum(mass) for i in range(3)]
            w = [a / (b**gamma * (1 - gamma * a * mpmath.log(a) / b)) for a, b in zip(v, u, strict=True)]
            expected = [float(x / mpmath.fsum(w)) for x in w]
        assert got == pytest.approx(expected, rel=1e-9)


def test_binary_undo_is_nearly_a_temperature_as_the_spec_says():
    for gamma, temperature in {1.0: 1.78, 2.0: 2.68, 3.0: 3.63, 5.0: 5.57}.items():
        eta = InverseFocal(gamma).fit([[0.2, 0.0]], [0]).predict_proba([[0.2, 0.0]])[0]
        assert np.log(eta[0] / eta[1]) / 0.2 == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("make", [InverseFocal, InverseFocalTemperature])
@pytest.mark.parametrize(
    ("gamma", "thresholds"), [(-1.0, ()), (float("nan"), ()), ((5.0, 3.0), ()), ((5.0, 3.0), (2.0,))]
)
def test_settings_that_make_no_sense_are_refused(make, gamma, thresholds):
    with pytest.raises(ValueError, match="gamma must be"):
        make(gamma, thresholds).fit([[0.5, 2.0]], [0])


def test_flsd_thresholds_are_looked_up_by_the_trained_probability():
    z = np.log([[0.15, 0.85]])
    assert not InverseFocal((5.0, 3.0), (0.2,)).keeps_accuracy
    got = InverseFocal((5.0, 3.0), (0.2,)).fit(z, [0]).predict_proba(z)[0]

    def weight(p, gamma):
        return p / ((1 - p) ** gamma - gamma * p * (1 - p) ** (gamma - 1) * np.log(p))

    expected = np.array([weight(0.15, 5), weight(0.85, 3)])
    assert got == pytest.approx(expected / expected.sum())


def test_classes_that_tie_stay_tied():
    z = np.random.default_rng(0).integers(-6, 7, size=(2000, 4)).astype(float)
    made = InverseFocal(3.0).fit(z, z.argmax(1))
    assert (made.predict(z) == z.argmax(1)).all()
    assert (made.predict_scored(z).top == z.argmax(1)).all()
