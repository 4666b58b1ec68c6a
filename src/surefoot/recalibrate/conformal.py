"""Conformal prediction sets: for each row the classes that cannot be ruled out, with a guaranteed coverage."""

from abc import ABC, abstractmethod
from typing import Any, TypeVar, final

import numpy as np
from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from surefoot.core.checks import check_labels, check_logits, check_possible, part_of_a_table
from surefoot.core.errors import InputError
from surefoot.core.numerics import log_softmax, softmax
from surefoot.core.types import ArrayLike, Logits, Probs

S = TypeVar("S", bound="ConformalSets")


class ConformalSets(BaseEstimator, ABC):
    """Sets of classes {j : nonconformity score(p, j) <= threshold}, the threshold learnt on held-out rows.

    The threshold is the ceil((n + 1)(1 - alpha))-th smallest score of the held-out rows' own labels; infinite, so
    that every class is in every set, where n is too small for that.

    Property: P(label in set) >= 1 - alpha for new rows exchangeable with the held-out ones, whatever the model;
    marginal over rows, not for each class or group. At most 1 - alpha + 1 / (n + 1) where nothing ties.
    Reference: Vovk, Gammerman, Shafer 2005; Angelopoulos and Bates 2021, section 1.
    """

    threshold_: float
    n_classes_: int

    @final
    def fit(self: S, logits: ArrayLike, y: ArrayLike) -> S:
        """Learn the threshold from logits (n, k) and labels (n,) that the network was not trained on.

        Raises:
            InputError: tables that are not logits and labels, or an `alpha` that is not between 0 and 1.
        """
        alpha = self.get_params()["alpha"]
        if not (isinstance(alpha, int | float) and 0 < alpha < 1):
            raise InputError(
                f"alpha, the share of rows whose label may be missed, must lie between 0 and 1, got {alpha!r}"
            )
        table = check_logits(logits)
        labels = check_labels(y, *table.shape)
        n = len(table)
        check_possible(table, labels)
        scores = self._nonconformity(table, np.random.default_rng(0).random(n))[np.arange(n), labels]
        rank = int(np.ceil((n + 1) * (1 - alpha)))
        self.threshold_ = float(np.sort(scores)[rank - 1]) if rank <= n else np.inf
        self.n_classes_ = table.shape[1]
        return self

    @final
    def predict_set(self, logits: ArrayLike, seed: int = 1) -> Bool[np.ndarray, "n k"]:
        """Return which classes are in the set of each row; `seed` settles ties of methods that draw.

        Raises:
            NotFittedError: `fit` was not called.
            InputError: not logits, or another number of classes than in `fit`.
        """
        check_is_fitted(self, "threshold_")
        with part_of_a_table():  # what these rows are was settled by `fit`
            table = check_logits(logits)
        if table.shape[1] != self.n_classes_:
            raise InputError(f"fitted on {self.n_classes_} classes, got logits of {table.shape[1]}")
        return self._nonconformity(table, np.random.default_rng(seed).random(len(table))) <= self.threshold_

    @abstractmethod
    def _nonconformity(self, logits: Logits, u: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        """Compute the nonconformity score of each class as the label of each row, given a uniform number a row."""


class SplitConformal(ConformalSets):
    """Score -log p_j, which orders classes as 1 - p_j does, and does not tie where that rounds to 0 or 1.

    The smallest sets on average, but empty or too small for hard rows.

    Reference: Sadinle, Lei, Wasserman 2019 (least ambiguous sets).

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5]])
    >>> SplitConformal(alpha=0.3).fit(z, [0, 0, 1, 0]).predict_set([[3.0, 0.0], [0.1, 0.0]])
    array([[ True, False],
           [ True,  True]])
    """

    def __init__(self, alpha: float = 0.1) -> None:
        self.alpha = alpha

    def _nonconformity(self, logits: Logits, u: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        return -log_softmax(logits)


class AdaptiveSets(ConformalSets):
    """APS: the score is the mass of the classes above j, and a random share of j's own.

    Property: sets grow with the difficulty of a row; their coverage is nearly the same for easy and hard rows.
    Reference: Romano, Sesia, Candes 2020, eq. 8.

    >>> z = np.random.default_rng(0).normal(size=(99, 3))
    >>> bool(AdaptiveSets(alpha=0.1).fit(z, z.argmax(1)).predict_set(z).any(1).mean() > 0.8)
    True
    """

    def __init__(self, alpha: float = 0.1) -> None:
        self.alpha = alpha

    def _nonconformity(self, logits: Logits, u: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        probs = softmax(logits)
        return _mass_above(probs) + u[:, None] * probs


class RegularizedSets(ConformalSets):
    """RAPS: as APS, plus `penalty` for every rank beyond `free`: the tail of unlikely classes stays out.

    Reference: Angelopoulos, Bates, Malik, Jordan 2021, eq. 4.

    >>> z = np.random.default_rng(0).normal(size=(99, 3))
    >>> RegularizedSets(alpha=0.1).fit(z, z.argmax(1)).predict_set(z).shape
    (99, 3)
    """

    def __init__(self, alpha: float = 0.1, penalty: float = 0.01, free: int = 5) -> None:
        self.alpha = alpha
        self.penalty = penalty
        self.free = free

    def _nonconformity(self, logits: Logits, u: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        probs = softmax(logits)
        ranks = np.argsort(np.argsort(-probs, axis=1, kind="stable"), axis=1) + 1
        return _mass_above(probs) + u[:, None] * probs + self.penalty * np.maximum(ranks - self.free, 0)


def _mass_above(probs: Probs) -> Float[np.ndarray, "n k"]:
    """Sum, for each class, the probabilities of the classes before it in falling order."""
    order = np.argsort(-probs, axis=1, kind="stable")
    ordered = np.take_along_axis(probs, order, 1)
    above = np.empty_like(probs)
    np.put_along_axis(above, order, np.cumsum(ordered, 1) - ordered, 1)
    return above


CONFORMAL: dict[str, Any] = {"split": SplitConformal, "aps": AdaptiveSets, "raps": RegularizedSets}
