"""What to do about a model's confidence: each calibrator judged by a proper score on rows it has not seen."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from surefoot.core.predictions import Predictions
from surefoot.recalibrate import Calibrator, Identity, InverseFocal, InverseFocalTemperature, TemperatureScaling, choose
from surefoot.recalibrate.auto import score_rows


@dataclass(frozen=True)
class Remedy:
    """The calibrator of least held-out NLL, or a simpler one within one standard error of it; the NLL of each."""

    method: str
    nll: dict[str, float]

    @property
    def best(self) -> float:
        """The NLL of the chosen calibrator."""
        return self.nll[self.method]


def maps_for(loss: str) -> dict[str, Callable[[], Calibrator]]:
    """Return the calibrators worth a try for a network trained with a loss, the simplest first.

    For focal losses, the undo of their own gamma.

    >>> list(maps_for("ce")), list(maps_for("fl-3"))
    (['none', 'temperature'], ['none', 'temperature', 'focal-undo', 'focal-undo-temperature'])
    """
    calibrators: dict[str, Callable[[], Calibrator]] = {"none": Identity, "temperature": TemperatureScaling}
    if not loss:
        return calibrators
    from surefoot.losses import LOSSES, FocalLoss  # noqa: PLC0415  (PyTorch, for what was trained here)
    from surefoot.losses.gamma import Steps  # noqa: PLC0415

    criterion = LOSSES[loss]() if loss in LOSSES else None
    rule = criterion.policy.at(1.0) if isinstance(criterion, FocalLoss) else None
    if isinstance(rule, Steps):
        thresholds = tuple(math.exp(edge) for edge in rule.edges)
        calibrators["focal-undo"] = partial(InverseFocal, rule.gammas, thresholds)
        calibrators["focal-undo-temperature"] = partial(InverseFocalTemperature, rule.gammas, thresholds)
    return calibrators


def find_remedy(held_out: Predictions, loss: str = "") -> Remedy:
    """Choose a calibrator for a model from held-out rows, by five-fold cross-fitting."""
    logits, labels = held_out.logits(), held_out.labels
    choice = choose(maps_for(loss), logits, labels)
    if not choice.scores:  # too few rows to hold any out
        return Remedy("none", {"none": float(score_rows(held_out.scored(), labels, "nll").mean())})
    return Remedy(choice.method, choice.scores)


@dataclass(frozen=True)
class Recommendation:
    """Which loss, followed by which calibrator, has the least held-out NLL; and the same for each loss."""

    loss: str
    method: str
    nll: dict[str, float]
    sentence: str


def recommend(held_out: Mapping[str, Sequence[Predictions]]) -> Recommendation:
    """Choose a loss and its calibrator from the held-out parts of each loss's runs, one for each seed."""
    remedies = {loss: [find_remedy(part, loss) for part in parts] for loss, parts in held_out.items()}
    means = {loss: float(np.mean([r.best for r in of_loss])) for loss, of_loss in remedies.items()}
    best = min(means, key=lambda loss: means[loss])
    methods = [r.method for r in remedies[best]]
    method = max(set(methods), key=lambda name: (methods.count(name), name))
    then = "as it is" if method == "none" else f"followed by {method}"
    words = f"By held-out NLL after the calibrator that suits each: {best}, {then} ({means[best]:.4f})"
    others = {loss: value for loss, value in means.items() if loss != best}
    if others:
        second = min(others, key=lambda loss: others[loss])
        gaps = np.array([a.best - b.best for a, b in zip(remedies[second], remedies[best], strict=True)])
        clear = len(gaps) > 1 and gaps.mean() > 2 * gaps.std(ddof=1) / math.sqrt(len(gaps))
        words += f"; next is {second} ({others[second]:.4f}), {'' if clear else 'not '}significantly worse over seeds"
    return Recommendation(best, method, means, f"{words}.")
