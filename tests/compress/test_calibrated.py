"""What a difference of logits can do to calibrated confidences: never less than what moved logits show."""

import numpy as np
import pytest

from surefoot.compress.calibrated import at, everywhere
from surefoot.core.errors import InputError
from surefoot.recalibrate import CALIBRATORS
from surefoot.recalibrate.steps import apply

MAPS = ["temperature", "vector", "matrix", "isotonic", "spline", "focal-undo"]


def fitted(name: str) -> tuple[object, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1500, 4))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    return CALIBRATORS[name]().fit(2 * truth, labels), 2 * truth[:40]


@pytest.mark.parametrize("name", MAPS)
def test_bounds_hold_for_logits_that_move_so_far(name: str) -> None:
    made, logits = fitted(name)
    rng = np.random.default_rng(1)
    bound = np.array([0.02, 0.0, 0.05, 0.01])
    before = apply(made.steps_, logits)  # pyright: ignore[reportAttributeAccessIssue]
    found = at(made, logits, bound)  # pyright: ignore[reportArgumentType]
    always = everywhere(made, bound)  # pyright: ignore[reportArgumentType]
    assert (always is not None) == (name in ("temperature", "vector", "matrix"))
    for _ in range(50):
        moved = logits + bound * rng.choice([-1.0, 1.0, 0.3], size=logits.shape)
        met = np.abs(apply(made.steps_, moved) - before).max(1)  # pyright: ignore[reportAttributeAccessIssue]
        assert (met <= found).all()
        assert always is None or met.max() <= always
    assert found.max() < (1.0 if name == "spline" else 0.2)  # what is left to the other classes is bounded loosely


def test_a_map_of_other_classes_is_refused() -> None:
    made, _ = fitted("temperature")
    with pytest.raises(InputError, match="the calibrator is of 4 classes"):
        at(made, np.zeros((1, 3)), np.zeros(3))  # pyright: ignore[reportArgumentType]
