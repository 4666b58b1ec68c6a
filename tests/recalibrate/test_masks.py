"""Classes that are absent from a row."""

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.recalibrate import CALIBRATORS, TemperatureScaling, VectorScaling
from surefoot.recalibrate.masks import finite, first_absent, mixes, refuse_absent


def test_minus_infinity_becomes_a_number_far_below():
    z = np.array([[1.0, -np.inf, 3.0]], dtype=np.float32)
    assert finite(z).dtype == np.float32
    assert finite(z)[0].tolist()[::2] == [1, 3]
    assert finite(z)[0, 1] < -1e37
    assert finite(z[:, ::2]) is not None
    huge = finite(np.array([[1e300, -np.inf]]))
    assert np.isfinite(huge).all()
    assert huge[0, 1] < -1e300


def test_absent_is_what_is_far_where_others_are_near():
    z = np.array([[3.0, 0.0, 1.0], [3.0, -1e9, -1e9], [3.0, 0.0, -1e9]])
    assert first_absent(z, 100) == (2, 2)  # one class alone says nothing
    assert first_absent(z[:2], 100) is None
    with pytest.raises(InputError, match=r"row 2 holds -1e\+09 in column 2"):
        refuse_absent(z, 100, "this")


def test_what_mixes_classes():
    z, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    mixing = {n for n in CALIBRATORS if "spline" not in n and mixes(CALIBRATORS[n]().fit(z, y).steps_)}
    assert {"matrix", "dirichlet", "structured", "temperature-parameterized"} <= mixing
    assert not {"temperature", "vector", "platt", "none"} & mixing


def test_a_class_that_is_masked_in_some_rows_stays_absent_from_them():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(400, 3)), rng.integers(3, size=400)
    z[:, 2] = np.where(y == 2, -2.0, 2.0)  # the higher the less likely: its scale would be negative
    z[::4, 2], y[::4] = -1e9, rng.integers(2, size=100)
    made = VectorScaling().fit(z, y)
    assert (made.predict_proba(z)[::4, 2] == 0).all()
    assert np.isfinite(TemperatureScaling().fit(z, y).temperature_)
