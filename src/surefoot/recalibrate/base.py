"""What every calibrator is: a scikit-learn estimator from logits to probabilities."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, final

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from surefoot.core.checks import check_labels, check_logits, check_possible, part_of_a_table
from surefoot.core.errors import InputError
from surefoot.core.numerics import log_softmax, row_log_sums
from surefoot.core.precision import LogProbs, stored_probs, without_zeros, zeros_of
from surefoot.core.predictions import Predictions
from surefoot.core.scored import Scored
from surefoot.core.types import ArrayLike, Labels, Logits, Probs
from surefoot.recalibrate.checks import check_steps
from surefoot.recalibrate.log_probs import log_scores, scored_by
from surefoot.recalibrate.masks import finite, mixes, one_sided, refuse_absent, refuse_lifted
from surefoot.recalibrate.steps import Affine, LogSoftmax, Softmax, Step, apply, ignores_offset

R = TypeVar("R", bound="Calibrator")
Steps: TypeAlias = tuple[Step, ...]
_SUM_TO_ONE = 1e-6  # by how much the logarithm of a row's sum may miss 0 where logits are logarithms of probabilities


@dataclass(frozen=True)
class AffineCalibrator:
    """The calibrator z -> weight z + bias of logits; a softmax follows. What can be appended to a deployed network."""

    weight: Float[np.ndarray, "k k"]
    bias: Float[np.ndarray, " k"]


class Calibrator(ClassifierMixin, BaseEstimator, ABC):
    """A calibrator from logits to probabilities, learnt on held-out data.

    Settings in `__init__`; learnt values end in `_`. What is learnt is a value, `steps_`: steps that are applied,
    written to a file and translated to ONNX without this class.

    A logit of -inf is a class that the row cannot have; so is one that is far below the others by any other number,
    such as -1e9. Its probability is 0 to rounding, and it counts for nothing in what is learnt. Calibrators that mix
    classes refuse to learn from such rows, and to be applied to -inf.

    Probabilities say nothing of a number that is added to all logits of a row. A calibrator that is learnt on a table
    of them (`Predictions.logits`), or on their logarithms, and that such a number would change, starts with a
    log-softmax: so it is the same calibrator behind the network's logits.
    """

    n_classes_: int
    n_features_in_: int
    classes_: np.ndarray
    steps_: Steps
    at_bound_: bool

    _learns = True  # whether rows decide on the calibrator at all
    _by_likelihood = False  # whether it minimises the NLL, and so must not raise it on its own rows
    _reads_zeros = False  # whether it hands stored zeros on to other calibrators
    _mixes = False  # whether the logit of one class decides on others by its size
    _sees_offset = False  # whether a number added to all logits of a row changes what it gives

    @final
    def fit(self: R, logits: ArrayLike, y: ArrayLike) -> R:
        """Learn the calibrator from logits (n, k) and labels y (n,) that the network was not trained on.

        `at_bound_` says that these rows alone do not bound the calibrator: not one of them is wrong, or none right, or
        a search ended where it ends.

        Property: a calibrator that is fitted by likelihood never raises the NLL of its own rows.

        Raises:
            InputError: NaN or infinite rows, probabilities instead of logits, labels out of range, no rows, one class,
                a label whose logit is -inf.
        """
        plain, floor = (zeros_of(logits)[0], None) if self._mixes else without_zeros(logits)
        table = check_logits(plain)
        labels = check_labels(y, *table.shape)
        if floor is None:
            check_possible(table, labels)
        if self._mixes:
            refuse_absent(table, np.finfo(np.float64).max, type(self).__name__)
        self.at_bound_ = False
        of_probs = isinstance(logits, LogProbs) or (self._sees_offset and _are_log_probs(table))
        if of_probs and self._sees_offset:
            with np.errstate(all="ignore"):
                table = log_softmax(table)  # stored zeros, and few digits, leave sums that are not 1
        given = finite(table)
        with np.errstate(all="ignore"):
            steps = self._learn(logits if self._reads_zeros and isinstance(logits, LogProbs) else given, labels)
            if of_probs and not ignores_offset(steps):
                steps = (LogSoftmax(), *steps)
            if self._by_likelihood:
                steps = _no_worse(steps, logits, labels)
        self.at_bound_ = bool(self.at_bound_ or (self._learns and one_sided(given, labels)))
        return self.set_steps(steps, table.shape[1])

    @final
    def fit_table(self: R, rows: Predictions) -> R:
        """Learn from a table, which names what it holds: rows that look like something else are what it says.

        Raises as `fit`.
        """
        with part_of_a_table():
            return self.fit(rows.logits(), rows.labels)

    @final
    def set_steps(self: R, steps: Steps, classes: int) -> R:
        """Take a calibrator that was learnt before, of so many classes.

        Raises:
            InputError: not a list of steps from logits to probabilities (`checks.check_steps`).
        """
        self.steps_ = check_steps(steps, classes)
        self.n_classes_ = self.n_features_in_ = classes
        self.classes_ = np.arange(classes)
        return self

    @final
    def predict_proba(self, logits: ArrayLike) -> Probs:
        """Compute recalibrated probabilities (n, k), in float64; every row sums to 1.

        Raises:
            NotFittedError: `fit` was not called.
            InputError: not logits, another number of classes than in `fit`, or a class that is absent from a row where
                the calibrator mixes classes.
        """
        rows, _ = self._checked(logits)
        return apply(self.steps_, rows)

    @final
    def predict_log_proba(self, logits: ArrayLike) -> Logits:
        """Compute logarithms of recalibrated probabilities (n, k), also of those that float64 cannot hold.

        -inf where a calibrator gives a probability of 0. Raises as `predict_proba`.
        """
        rows, _ = self._checked(logits)
        logs = log_scores(self.steps_, rows)
        if logs is not None:
            return log_softmax(logs)
        with np.errstate(divide="ignore"):
            return np.log(apply(self.steps_, rows))

    @final
    def predict_scored(self, logits: ArrayLike) -> Scored:
        """Compute what metrics take: recalibrated probabilities that have kept their logarithms.

        Where it does nothing, and logits are those of a table of probabilities, these are as they were stored.

        Raises as `predict_proba`.
        """
        rows, floor = self._checked(logits)
        stored = self._as_stored(logits)
        return scored_by(self.steps_, rows, floor) if stored is None else Scored.of_probs(stored, floor)

    def _as_stored(self, logits: ArrayLike) -> Probs | None:
        """Return stored probabilities as they are where the calibrator does nothing: a last digit can change a bin."""
        return stored_probs(logits) if len(self.steps_) == 1 and isinstance(self.steps_[0], Softmax) else None

    def _checked(self, logits: ArrayLike) -> tuple[Logits, float | None]:
        """Return logits that the calibrator may be applied to, and what a stored 0 counts as."""
        check_is_fitted(self, "steps_")
        plain, floor = _as_taken(self.steps_, logits)
        with part_of_a_table():  # what these rows are was settled when the calibrator was learnt
            table = check_logits(plain)
        if table.shape[1] != self.n_classes_:
            raise InputError(f"fitted on {self.n_classes_} classes, got logits of {table.shape[1]}")
        if isinstance(logits, LogProbs) and not ignores_offset(self.steps_):
            raise InputError(
                "the calibrator was learnt on logits, and reads what all logits of a row share, which probabilities "
                "have lost: learn it on a table of probabilities, or apply it to the logits"
            )
        if mixes(self.steps_):
            refuse_absent(table, np.finfo(np.float64).max, type(self).__name__)
        refuse_lifted(self.steps_, table)
        return table, floor

    @final
    def predict(self, logits: ArrayLike) -> Labels:
        """Compute the most probable class of each row."""
        return self.predict_proba(logits).argmax(1)

    @final
    def as_affine(self) -> AffineCalibrator | None:
        """Return the fitted calibrator as an affine one before the softmax, or None where it is not."""
        check_is_fitted(self, "steps_")
        if not (len(self.steps_) == 2 and isinstance(self.steps_[0], Affine) and isinstance(self.steps_[1], Softmax)):
            return None
        weight, k = self.steps_[0].weight, self.n_classes_
        return AffineCalibrator(weight if weight.ndim == 2 else np.eye(k) * weight, np.zeros(k) + self.steps_[0].bias)

    @property
    @abstractmethod
    def keeps_accuracy(self) -> bool:
        """Whether the most probable class is always that of the logits."""

    @abstractmethod
    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        """Learn from checked arrays; numbers worth reading may be set as attributes that end in `_`."""

    def __sklearn_tags__(self) -> Any:
        """Say that labels are needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _are_log_probs(table: Logits) -> bool:
    """Whether exponentials of every row sum to 1; the first row settles it almost always."""
    return all(bool(np.abs(row_log_sums(rows)).max() <= _SUM_TO_ONE) for rows in (table[:1], table))


def _as_taken(steps: Steps, logits: ArrayLike) -> tuple[ArrayLike, float | None]:
    """Return plain logits as a calibrator takes them: a stored 0 is -inf, or the floor's where it mixes classes."""
    return (zeros_of(logits)[0], None) if mixes(steps) else without_zeros(logits)


def _no_worse(steps: Steps, logits: ArrayLike, labels: Labels) -> Steps:
    """Return steps, or where they raise the NLL of the rows they were learnt on, the temperature's, or the softmax."""
    from surefoot.recalibrate.temperature import TemperatureScaling  # noqa: PLC0415  (it imports this module)

    def nll(candidate: Steps) -> float:
        try:
            plain, floor = _as_taken(candidate, logits)
            with part_of_a_table():
                table = check_logits(plain)
            rows = scored_by(check_steps(candidate, table.shape[1]), table, floor)
            return float(-rows.log_of(labels).mean())
        except InputError:  # numbers that are none
            return float("inf")

    most = nll((Softmax(),)) * (1 + 1e-9) + 1e-12
    if nll(steps) <= most:
        return steps
    temperature = TemperatureScaling().fit(logits, labels).steps_
    return temperature if nll(temperature) <= most else (Softmax(),)
