"""What to do about a model's confidence: by proper score on held-out rows, each map judged on rows it has not seen."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.model_selection import KFold

from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions
from surefoot.losses import LOSSES, FocalLoss
from surefoot.losses.gamma import Steps
from surefoot.recalibrate import FocalUndo, FocalUndoTemperature, Recalibrator, TemperatureScaling

_FOLDS = 5
_TINY = 1e-300


@dataclass(frozen=True)
class Remedy:
    """The map of least held-out NLL, unless a simpler one is within one standard error of it; the NLL of each."""

    method: str
    nll: dict[str, float]

    @property
    def best(self) -> float:
        """The NLL of the chosen map."""
        return self.nll[self.method]


def maps_for(loss: str) -> dict[str, Callable[[], Recalibrator] | None]:
    """Return the maps worth a try for a network trained with a loss, the simplest first; None is no map.

    For focal losses, the undo of their own gamma.

    >>> list(maps_for("ce")), list(maps_for("fl-3"))
    (['none', 'temperature'], ['none', 'temperature', 'focal-undo', 'focal-undo-temperature'])
    """
    found: dict[str, Callable[[], Recalibrator] | None] = {"none": None, "temperature": TemperatureScaling}
    made = LOSSES[loss]() if loss in LOSSES else None
    rule = made.policy.at(1.0) if isinstance(made, FocalLoss) else None
    if isinstance(rule, Steps):
        thresholds = tuple(math.exp(edge) for edge in rule.edges)
        found["focal-undo"] = partial(FocalUndo, rule.gammas, thresholds)
        found["focal-undo-temperature"] = partial(FocalUndoTemperature, rule.gammas, thresholds)
    return found


def find_remedy(held_out: Predictions, loss: str = "") -> Remedy:
    """Choose a map for a model from held-out rows, by five-fold cross-fitting."""
    logits, labels = held_out.logits(), held_out.labels
    rows = {name: _losses(make, logits, labels) for name, make in maps_for(loss).items()}
    means = {name: float(values.mean()) for name, values in rows.items()}
    best = min(means, key=lambda name: means[name])
    for name, values in rows.items():  # from the simplest on
        gap = values - rows[best]
        if gap.mean() <= gap.std() / math.sqrt(len(gap)):
            return Remedy(name, means)
    return Remedy(best, means)


def _losses(make: Callable[[], Recalibrator] | None, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the NLL of each row under a map that was learnt on other rows."""
    probs = softmax(logits)
    if make is not None and len(labels) >= 2 * _FOLDS:
        for fitted_on, judged in KFold(_FOLDS, shuffle=True, random_state=0).split(logits):
            probs[judged] = make().fit(logits[fitted_on], labels[fitted_on]).predict_proba(logits[judged])
    return -np.log(np.maximum(probs[np.arange(len(labels)), labels], _TINY))


@dataclass(frozen=True)
class Recommendation:
    """Which loss, followed by which map, has the least held-out NLL; and the same for each loss."""

    loss: str
    method: str
    nll: dict[str, float]
    sentence: str


def recommend(held_out: Mapping[str, Sequence[Predictions]]) -> Recommendation:
    """Choose a loss and its map from the held-out parts of each loss's runs, one for each seed."""
    remedies = {loss: [find_remedy(part, loss) for part in parts] for loss, parts in held_out.items()}
    means = {loss: float(np.mean([r.best for r in found])) for loss, found in remedies.items()}
    best = min(means, key=lambda loss: means[loss])
    methods = [r.method for r in remedies[best]]
    method = max(set(methods), key=lambda name: (methods.count(name), name))
    then = "as it is" if method == "none" else f"followed by {method}"
    words = f"By held-out NLL after the map that suits each: {best}, {then} ({means[best]:.4f})"
    others = {loss: value for loss, value in means.items() if loss != best}
    if others:
        second = min(others, key=lambda loss: others[loss])
        gaps = np.array([a.best - b.best for a, b in zip(remedies[second], remedies[best], strict=True)])
        clear = len(gaps) > 1 and gaps.mean() > 2 * gaps.std(ddof=1) / math.sqrt(len(gaps))
        words += f"; next is {second} ({others[second]:.4f}), {'' if clear else 'not '}told apart over the seeds"
    return Recommendation(best, method, means, f"{words}.")
