"""Class-prior shift: probabilities for a place where the classes are as likely as there, not as here."""

from copy import copy
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from sklearn.utils.validation import check_is_fitted

from surefoot.core.checks import check_probs
from surefoot.core.errors import InputError
from surefoot.core.types import ArrayLike
from surefoot.recalibrate.base import Calibrator
from surefoot.recalibrate.steps import Reweigh

R = TypeVar("R", bound=Calibrator)
Priors = Float[np.ndarray, " k"]


def _check_priors(priors: ArrayLike, k: int, what: str, least: float = 0.0) -> Priors:
    array = np.asarray(priors, dtype=np.float64)
    valid = array.shape == (k,) and bool(np.isfinite(array).all()) and (array >= least).all()
    if not valid or abs(array.sum() - 1) > 1e-6:
        more = ", each above 0" if least > 0 else ""
        raise InputError(f"{what} must be {k} numbers that sum to 1{more}, got {np.asarray(priors).tolist()}")
    return array


def estimate_priors(probs: ArrayLike, trained: ArrayLike, tolerance: float = 1e-8, steps: int = 10_000) -> Priors:
    """Estimate the classes' shares among unlabelled rows (n, k) by expectation-maximisation.

    Arguments:
        probs: calibrated probabilities of rows from the new place.
        trained: the classes' shares (k,) where the model was trained (or recalibrated).

    Property: the likelihood's maximum if probabilities are calibrated and only the priors differ; so recalibrate first.

    Raises:
        InputError: not probabilities, or shares that are not positive numbers with sum 1.

    Reference: Saerens, Latinne, Decaestecker 2002, eq. 2.9.

    >>> rows = np.repeat([[0.9, 0.1], [0.1, 0.9]], [80, 20], axis=0)
    >>> estimate_priors(rows, [0.5, 0.5]).round(3)
    array([0.875, 0.125])
    """
    table = check_probs(probs).astype(np.float64)
    start = _check_priors(trained, table.shape[1], "the trained priors", np.finfo(float).tiny)
    shares = start
    for _ in range(steps):
        weighed = table * (shares / start)
        new = (weighed / weighed.sum(1, keepdims=True)).mean(0)
        if np.abs(new - shares).max() < tolerance:
            return new
        shares = new
    return shares


def with_priors(calibrator: R, trained: ArrayLike, new: ArrayLike) -> R:
    """Return a fitted calibrator for other priors: p_j proportional to p_j new_j / trained_j.

    Property: exact where only the priors differ and the recalibrated probabilities are the true ones.

    Raises:
        NotFittedError: the calibrator is not fitted.
        InputError: shares that are not numbers with sum 1, or trained ones of 0.

    >>> from surefoot.recalibrate import Identity
    >>> fitted = Identity().fit([[0.0, 0.1]], [0])
    >>> with_priors(fitted, [0.5, 0.5], [0.8, 0.2]).predict_proba([[2.0, 2.0]])
    array([[0.8, 0.2]])
    """
    check_is_fitted(calibrator, "steps_")
    k = calibrator.n_classes_
    factors = _check_priors(new, k, "the new priors") / _check_priors(
        trained, k, "the trained priors", np.finfo(float).tiny
    )
    return copy(calibrator).set_steps((*calibrator.steps_, Reweigh(factors)), k)
