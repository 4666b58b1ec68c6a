"""A score taken apart: what its terms add up to, and what is left where there is nothing to repair."""

from typing import Literal

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.core.numerics import log_softmax, softmax
from surefoot.recalibrate import decompose


def sample(factor: float, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose labels are drawn from the softmax of the logits, which are then multiplied by a factor."""
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(n, 3))
    return factor * logits, (logits + rng.gumbel(size=logits.shape)).argmax(1)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_refinement_and_calibration_add_up_to_the_score(factor: float) -> None:
    logits, labels = sample(factor)
    nll = -log_softmax(logits)[np.arange(len(labels)), labels].mean()
    brier = ((softmax(logits) - np.eye(3)[labels]) ** 2).sum(1).mean()
    scores: dict[Literal["nll", "brier"], float] = {"nll": nll, "brier": brier}
    for by, score in scores.items():
        found = decompose(logits, labels, by)
        assert found.score == pytest.approx(score, rel=1e-9)
        assert found.refinement + found.calibration == pytest.approx(found.score, rel=1e-12)
        assert found.calibration >= 0


def test_what_a_factor_costs_is_calibration_and_not_refinement() -> None:
    """A calibrator undoes the factor: the refinement of all of them is that of the true model, but for the fit."""
    found = {factor: decompose(*sample(factor)) for factor in (0.3, 1.0, 4.0)}
    assert found[1.0].calibration < 0.01
    for factor in (0.3, 4.0):
        assert found[factor].calibration > 0.1
        assert found[factor].refinement == pytest.approx(found[1.0].refinement, abs=0.01)


def test_too_few_rows_are_refused() -> None:
    logits, labels = sample(1.0)
    with pytest.raises(InputError, match="ten rows at least are needed"):
        decompose(logits[:9], labels[:9])
