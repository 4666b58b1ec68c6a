"""What every recalibrator is: a scikit-learn estimator from logits to probabilities."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar, final

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from surefoot.core.checks import check_labels, check_logits
from surefoot.core.errors import InputError
from surefoot.core.types import ArrayLike, Labels, Logits, Probs

R = TypeVar("R", bound="Recalibrator")


@dataclass(frozen=True)
class AffineMap:
    """The map z -> weight z + bias of logits; a softmax follows. What can be appended to a deployed network."""

    weight: Float[np.ndarray, "k k"]
    bias: Float[np.ndarray, " k"]


class Recalibrator(BaseEstimator, ABC):
    """A map from logits to probabilities, learnt on held-out data. Settings in `__init__`, learnt values end in `_`."""

    n_classes_: int

    @final
    def fit(self: R, logits: ArrayLike, target: ArrayLike) -> R:
        """Learn the map from logits (n, k) and labels (n,) that the network was not trained on.

        Raises:
            InputError: NaN or infinite rows, probabilities instead of logits, labels out of range, no rows, one class.
        """
        table = check_logits(logits)
        labels = check_labels(target, *table.shape)
        self._learn(table, labels)
        self.n_classes_ = table.shape[1]
        return self

    @final
    def predict_proba(self, logits: ArrayLike) -> Probs:
        """Compute recalibrated probabilities (n, k), in float64.

        Raises:
            NotFittedError: `fit` was not called.
            InputError: not logits, or another number of classes than in `fit`.
        """
        check_is_fitted(self, "n_classes_")
        table = check_logits(logits)
        if table.shape[1] != self.n_classes_:
            raise InputError(f"fitted on {self.n_classes_} classes, got logits of {table.shape[1]}")
        return self._apply(table)

    @final
    def predict(self, logits: ArrayLike) -> Labels:
        """Compute the most probable class of each row."""
        return self.predict_proba(logits).argmax(1)

    @property
    @abstractmethod
    def keeps_accuracy(self) -> bool:
        """Whether the most probable class is always that of the logits."""

    @abstractmethod
    def as_affine(self) -> AffineMap | None:
        """Return the fitted map as an affine one before the softmax, or None where it is not."""

    @abstractmethod
    def _learn(self, logits: Logits, labels: Labels) -> None:
        """Set what is learnt, from checked arrays."""

    @abstractmethod
    def _apply(self, logits: Logits) -> Probs:
        """Compute probabilities, from checked logits."""

    def __sklearn_tags__(self) -> Any:
        """Say that labels are needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
