"""Choosing a calibrator by proper score on rows that it has not seen: the simplest that is as good as the best."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from sklearn.model_selection import KFold

from surefoot.core.checks import part_of_a_table
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Logits
from surefoot.recalibrate.affine import StructuredMatrixScaling, VectorScaling
from surefoot.recalibrate.base import Calibrator, Steps
from surefoot.recalibrate.binary import Isotonic
from surefoot.recalibrate.masks import one_sided
from surefoot.recalibrate.reductions import OneVsRest, TopLabel
from surefoot.recalibrate.spline import Spline
from surefoot.recalibrate.steps import Softmax
from surefoot.recalibrate.temperature import EnsembleTemperatureScaling, TemperatureScaling

_FOLDS = 5
_LARGE = 300  # classes from which a matrix is not tried


class Identity(Calibrator):
    """Leave the probabilities as they are: p = softmax(z).

    >>> Identity().fit([[2.0, 2.0]], [0]).predict_proba([[2.0, 2.0]])
    array([[0.5, 0.5]])
    """

    _learns = False

    @property
    def keeps_accuracy(self) -> bool:
        """True: nothing changes."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        return (Softmax(),)


# From the simplest on: where two are as good, the earlier is taken.
LADDER: dict[str, Callable[[], Calibrator]] = {
    "none": Identity,
    "temperature": TemperatureScaling,
    "temperature-ensemble": EnsembleTemperatureScaling,
    "spline": lambda: TopLabel(Spline()),
    "vector": VectorScaling,
    "structured": StructuredMatrixScaling,
    "isotonic-temperature": lambda: OneVsRest(Isotonic(), temperature=True),
}


# Those that a prior holds where no row is wrong.
HELD = ("none", "temperature", "temperature-ensemble", "vector", "structured")


@dataclass(frozen=True)
class Choice:
    """What was chosen, the held-out score of each calibrator that was tried, and the reason in a sentence.

    `why_not` has those of the ladder that could not be tried, and why.
    """

    method: str
    scores: dict[str, float]
    sentence: str
    why_not: dict[str, str]


def choose(
    ladder: Mapping[str, Callable[[], Calibrator]], logits: Logits, labels: Labels,
    by: Literal["nll", "brier"] = "nll", seed: int = 0,
) -> Choice:  # fmt: skip
    """Cross-fit each calibrator over five folds; take the first within one standard error of the best.

    The standard error is that of the paired difference to the best, row by row. With fewer than ten rows nothing can
    be held out, and the first is taken.
    """
    if by not in ("nll", "brier"):
        raise InputError(f"by must be 'nll' or 'brier', got {by!r}")
    if len(labels) < 2 * _FOLDS:
        first = next(iter(ladder))
        return Choice(first, {}, f"{first}: {len(labels)} rows are too few to hold any out.", {})
    rows: dict[str, np.ndarray] = {}
    why_not: dict[str, str] = {}
    for name, make in ladder.items():
        try:
            with part_of_a_table():
                rows[name] = _by_row(make, logits, labels, by, seed)
        except InputError as error:  # a calibrator that refuses so few rows
            why_not[name] = str(error)
    means = {name: float(values.mean()) for name, values in rows.items()}
    if not any(np.isfinite(mean) for mean in means.values()):
        first = next(iter(ladder))
        return Choice(first, {}, f"{first}: no calibrator has a finite score on rows that it has not seen.", why_not)
    means = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    rows = {name: rows[name] for name in means}
    best = min(means, key=lambda name: means[name])
    gaps = {name: rows[name] - rows[best] for name in rows}
    errors = {name: float(gap.std() / np.sqrt(len(gap))) for name, gap in gaps.items()}
    chosen = next(name for name in rows if means[name] - means[best] <= errors[name])
    return Choice(chosen, means, _reason(chosen, best, means, errors, by), why_not)


def _reason(chosen: str, best: str, means: dict[str, float], errors: dict[str, float], score: str) -> str:
    title = "NLL" if score == "nll" else "Brier score"
    words = f"{chosen}: held-out {title} {means[chosen]:.4f}"
    if chosen != best:
        words += (
            f", within one standard error ({errors[chosen]:.4f}) of the least, {means[best]:.4f} by {best}, and simpler"
        )
    else:
        words += ", the least"
    if chosen == "none":
        return f"{words}: nothing that was tried helps for certain."
    return f"{words} (as it is: {means['none']:.4f})." if "none" in means else f"{words}."


def _by_row(make: Callable[[], Calibrator], logits: Logits, labels: Labels, score: str, seed: int) -> np.ndarray:
    """Compute the score of each row under a calibrator that was learnt on other rows."""
    scores = np.empty(len(labels))
    for train, rest in KFold(_FOLDS, shuffle=True, random_state=seed).split(logits):
        batch = make().fit(logits[train], labels[train]).predict_scored(logits[rest])
        scores[rest] = score_rows(batch, labels[rest], score)
    return scores


def score_rows(batch: Scored, labels: Labels, score: str) -> Float[np.ndarray, " n"]:
    """Compute -log p_y of each row, or its squared distance."""
    if score == "nll":
        return -batch.log_of(labels)
    return (batch.probs**2).sum(1) - 2 * batch.probs[np.arange(len(labels)), labels] + 1


class Auto(Calibrator):
    """Try a ladder of calibrators, and take the simplest that is as good as the best on rows it has not seen.

    The ladder: none, temperature, temperature ensemble, spline, vector, structured matrix (below 300 classes),
    isotonic after a temperature. Where no row is wrong, or none right, only those that a prior holds. See `choose` for
    the rule; `why_` says what was found. Where the calibrator that was chosen makes the score worse on the very rows
    that it is then learnt on, nothing is done.

    Property: prefers doing nothing where nothing helps.

    >>> z, noise = np.random.default_rng(0).normal(size=(400, 3)), np.random.default_rng(1).gumbel(size=(400, 3))
    >>> y = (z + noise).argmax(1)
    >>> Auto().fit(z, y).method_, Auto().fit(4 * z, y).method_
    ('none', 'temperature')
    """

    _reads_zeros = True

    method_: str
    scores_: dict[str, float]
    why_: str
    why_not_: dict[str, str]
    at_bound_: bool

    def __init__(self, by: Literal["nll", "brier"] = "nll", seed: int = 0) -> None:
        self.by: Literal["nll", "brier"] = by
        self.seed = seed

    @property
    def keeps_accuracy(self) -> bool:
        """Whether the chosen calibrator does; before `fit`, False: it depends on the rows."""
        return hasattr(self, "method_") and LADDER[self.method_]().keeps_accuracy

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        ladder = {n: make for n, make in LADDER.items() if n != "structured" or logits.shape[1] < _LARGE}
        untold = one_sided(logits, labels)
        if untold:
            ladder = {name: make for name, make in ladder.items() if name in HELD}
        choice = choose(ladder, logits, labels, self.by, self.seed)
        self.method_, self.scores_, self.why_, self.why_not_ = (
            choice.method, choice.scores, choice.sentence, choice.why_not,
        )  # fmt: skip
        if untold:
            what = "wrong" if labels[0] == logits[0].argmax() or logits[0, labels[0]] == logits[0].max() else "right"
            self.why_ += (
                f" Not one row is {what}: only calibrators that a prior holds were tried; more rows would tell."
            )
        calibrator = LADDER[choice.method]().fit(logits, labels)
        before, after = (
            float(score_rows(m.predict_scored(logits), labels, self.by).mean())
            for m in (Identity().fit(logits, labels), calibrator)
        )
        if after > before * (1 + 1e-9):
            self.method_, calibrator = "none", Identity().fit(logits, labels)
            self.why_ += f" Learnt on all rows it makes them worse ({before:.4f} to {after:.4f}), so none is taken."
        self.at_bound_ = calibrator.at_bound_
        return calibrator.steps_
