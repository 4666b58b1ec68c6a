"""Vector and matrix scaling: affine maps of the logits, fitted by penalised likelihood."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from surefoot.core.errors import InputError
from surefoot.core.numerics import log_softmax, softmax
from surefoot.core.types import Labels, Logits, Probs
from surefoot.recalibrate.base import AffineMap, Recalibrator
from surefoot.recalibrate.temperature import TemperatureScaling


def _fit(
    logits: Logits, labels: Labels, size: int, to_map: Callable[[np.ndarray], AffineMap],
    pull_back: Callable[[np.ndarray], np.ndarray], precision: np.ndarray,
) -> AffineMap:  # fmt: skip
    """Minimise mean NLL + sum(precision theta^2) / 2n over theta by L-BFGS, from theta = 0."""
    n = len(labels)
    rows = np.arange(n)

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        affine = to_map(theta)
        log_p = log_softmax(logits @ affine.weight.T + affine.bias)
        residual = np.exp(log_p)
        residual[rows, labels] -= 1
        nll = -log_p[rows, labels].sum()
        gradient = pull_back(np.c_[residual.T @ logits, residual.sum(0)]) + precision * theta
        return float(nll + (precision * theta**2).sum() / 2) / n, gradient / n

    found = minimize(objective, np.zeros(size), jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12})
    return to_map(found.x)


def _temperature_start(logits: Logits, labels: Labels) -> tuple[Logits, float]:
    """Return the logits divided by the best temperature, and that temperature: where every map starts."""
    temperature = TemperatureScaling().fit(logits, labels).temperature_
    return np.divide(logits, temperature, dtype=np.float64), temperature


def _check_penalty(name: str, value: float) -> None:
    if not (isinstance(value, int | float) and value > 0 and np.isfinite(value)):
        raise InputError(f"{name} must be a positive finite number, got {value!r}")


class VectorScaling(Recalibrator):
    """Give every class its own scale and shift: p = softmax(w * z + b).

    Fitted by penalised likelihood around the best temperature: `l2` is the precision of a normal prior on the relative
    change of each scale and on each shift, in units of rows. It keeps a class that never occurs finite, and fades as
    rows are added.

    Property: can change the predicted class.
    Reference: Guo et al. 2017, section 4.2.

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5]])
    >>> VectorScaling().fit(z, [0, 0, 1, 0]).predict_proba(z).shape
    (4, 2)
    """

    weight_: np.ndarray
    bias_: np.ndarray

    def __init__(self, l2: float = 1.0) -> None:
        self.l2 = l2

    @property
    def keeps_accuracy(self) -> bool:
        """False: a shift can lift one class over another."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> None:
        _check_penalty("l2", self.l2)
        scaled, temperature = _temperature_start(logits, labels)
        k = logits.shape[1]
        affine = _fit(
            scaled, labels, 2 * k,
            lambda theta: AffineMap(np.diag(1 + theta[:k]), theta[k:]),
            lambda gradient: np.r_[np.diag(gradient[:, :k]), gradient[:, k]],
            np.full(2 * k, float(self.l2)),
        )  # fmt: skip
        self.weight_, self.bias_ = np.diag(affine.weight) / temperature, affine.bias

    def _apply(self, logits: Logits) -> Probs:
        return softmax(logits * self.weight_ + self.bias_)

    def as_affine(self) -> AffineMap:
        """Return diag(w) z + b."""
        return AffineMap(np.diag(self.weight_), self.bias_)


class MatrixScaling(Recalibrator):
    """Mix the classes' logits: p = softmax(W z + b).

    k^2 + k parameters overfit without a strong penalty. The diagonal and the shifts have the prior of `VectorScaling`;
    the entries off the diagonal have precision `off_diagonal`, in units of rows, by default chosen from 1e1 to 1e5 by
    the NLL of a fifth of the rows (every fifth one), then refitted on all.

    Property: can change the predicted class.
    Reference: Guo et al. 2017, section 4.2; Kull et al. 2019, section 3 (off-diagonal and intercept regularisation).

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5], [0.0, 1.0]])
    >>> MatrixScaling().fit(z, [0, 0, 1, 0, 1]).as_affine().weight.shape
    (2, 2)
    """

    weight_: np.ndarray
    bias_: np.ndarray
    off_diagonal_: float

    def __init__(self, l2: float = 1.0, off_diagonal: float | None = None) -> None:
        self.l2 = l2
        self.off_diagonal = off_diagonal

    @property
    def keeps_accuracy(self) -> bool:
        """False: classes are mixed."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> None:
        _check_penalty("l2", self.l2)
        if self.off_diagonal is not None:
            _check_penalty("off_diagonal", self.off_diagonal)
        scaled, temperature = _temperature_start(logits, labels)
        self.off_diagonal_ = self._choose(scaled, labels) if self.off_diagonal is None else float(self.off_diagonal)
        affine = self._fit_with(scaled, labels, self.off_diagonal_)
        self.weight_, self.bias_ = affine.weight / temperature, affine.bias

    def _fit_with(self, scaled: Logits, labels: Labels, off_diagonal: float) -> AffineMap:
        k = scaled.shape[1]
        precision = np.full((k, k + 1), off_diagonal)
        precision[np.arange(k), np.arange(k)] = precision[:, k] = self.l2
        return _fit(
            scaled, labels, k * (k + 1),
            lambda theta: AffineMap(np.eye(k) + theta.reshape(k, k + 1)[:, :k], theta.reshape(k, k + 1)[:, k]),
            np.ravel,
            precision.ravel(),
        )  # fmt: skip

    def _choose(self, scaled: Logits, labels: Labels) -> float:
        grid = (1e1, 1e2, 1e3, 1e4, 1e5)
        held = np.arange(len(labels)) % 5 == 4
        if not held.any():
            return grid[-1]

        def held_out_nll(off_diagonal: float) -> float:
            affine = self._fit_with(scaled[~held], labels[~held], off_diagonal)
            log_p = log_softmax(scaled[held] @ affine.weight.T + affine.bias)
            return float(-log_p[np.arange(held.sum()), labels[held]].mean())

        return min(grid, key=held_out_nll)

    def _apply(self, logits: Logits) -> Probs:
        return softmax(logits @ self.weight_.T + self.bias_)

    def as_affine(self) -> AffineMap:
        """Return W z + b."""
        return AffineMap(self.weight_, self.bias_)
