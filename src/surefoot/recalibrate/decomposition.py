"""A proper score taken apart: what a calibrator can repair, and what it cannot."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from surefoot.core.checks import check_labels, check_logits
from surefoot.core.errors import InputError
from surefoot.core.types import ArrayLike
from surefoot.recalibrate.auto import LADDER, choose
from surefoot.recalibrate.base import Calibrator


@dataclass(frozen=True)
class Decomposition:
    """score = refinement + calibration.

    Attributes:
        score: mean NLL or Brier score as it is.
        refinement: what is left after the calibrator that suits best, each row judged by a calibrator that has not seen
        it. calibration: what that calibrator is worth. method: its name.
    """

    score: float
    refinement: float
    calibration: float
    method: str


def decompose(
    logits: ArrayLike, y: ArrayLike, by: Literal["nll", "brier"] = "nll",
    ladder: Mapping[str, Callable[[], Calibrator]] = LADDER, seed: int = 0,
) -> Decomposition:  # fmt: skip
    """Split a proper score into refinement and calibration, by the least score that a calibrator of the ladder reaches.

    The calibration term is what can be gained by a calibrator; bins are not involved, so it is not biased upwards. It
    is at least 0: doing nothing is a calibrator.

    Property: calibration 0 for a model that no calibrator of the ladder improves on held-out rows.

    Raises:
        InputError: tables that are not logits and labels, or fewer than ten rows.

    Reference: Broecker 2009 (the decomposition); Berta, Holzmueller, Jordan, Bach 2025 (variational, by calibrators).

    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(900, 3)); noise = np.random.default_rng(1).gumbel(size=(900, 3))
    >>> found = decompose(3 * z, (z + noise).argmax(1))
    >>> found.method != "none", found.calibration > 0.1
    (True, True)
    """
    table = check_logits(logits)
    labels = check_labels(y, *table.shape)
    choice = choose(ladder, table, labels, by, seed)
    if not choice.scores or "none" not in choice.scores:
        raise InputError(
            f"ten rows at least are needed to judge a calibrator on rows it has not seen, got {len(table)}"
        )
    best = min(choice.scores, key=lambda name: choice.scores[name])
    refinement = choice.scores[best]
    return Decomposition(choice.scores["none"], refinement, choice.scores["none"] - refinement, best)
