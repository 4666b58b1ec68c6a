"""Temperature scaling: by convex search on the likelihood, and by the paper's grid."""

from typing import Literal

import numpy as np

from surefoot.core.bins import bin_index
from surefoot.core.errors import InputError
from surefoot.core.numerics import log_softmax, softmax
from surefoot.core.types import Labels, Logits, Probs
from surefoot.recalibrate.base import AffineMap, Recalibrator

_CHUNK_VALUES = 1 << 17  # logits at a time: half a megabyte stays in the cache
_WARM_UP_ROWS = 4096


def _slope_and_curvature(logits: Logits, labels: Labels, beta: float) -> tuple[float, float]:
    """Compute the first two derivatives of the mean NLL of softmax(beta z) in beta, chunk by chunk.

    They are the mean over rows of E[z] - z_y and of Var[z] under softmax(beta z).
    """
    n, k = logits.shape
    step = max(1, _CHUNK_VALUES // k)
    slope = curvature = 0.0
    for start in range(0, n, step):
        z = logits[start : start + step]
        z = z - z.max(1, keepdims=True)
        mass = np.multiply(z, z.dtype.type(beta))
        np.exp(mass, out=mass)
        total = mass.sum(1, dtype=np.float64)
        mean = np.einsum("nk,nk->n", mass, z) / total
        slope += float((mean - z[np.arange(len(z)), labels[start : start + step]]).sum())
        mass *= z
        curvature += float((np.einsum("nk,nk->n", mass, z) / total - mean**2).sum())
    return slope / n, max(curvature / n, 0.0)


def _minimise(logits: Logits, labels: Labels, beta: float, low: float, high: float) -> float:
    """Find the beta in [low, high] with the least NLL: Newton on a convex function, kept inside a bracket."""
    for step in range(100):
        slope, curvature = _slope_and_curvature(logits, labels, beta)
        low, high = (low, beta) if slope > 0 else (beta, high)
        new = beta - slope / curvature if curvature > 0 else np.inf
        newton = low <= new <= high and step % 8 != 7  # now and then halve the bracket, whatever Newton says
        new = new if newton else float(np.sqrt(low * high))
        # A Newton step leaves an error of the order of its square: stop once that is nothing.
        if abs(new - beta) <= (2e-4 if newton else 1e-12) * beta:
            return new
        beta = new
    return beta


def _best_inverse(logits: Logits, labels: Labels, low: float, high: float) -> tuple[float, bool]:
    """Find the best beta in [low, high], and whether it is an end: the slope there says so before any search."""
    if len(logits) > 2 * _WARM_UP_ROWS:  # a good start from evenly spread rows costs next to nothing
        rows = np.linspace(0, len(logits) - 1, _WARM_UP_ROWS).astype(np.intp)
        start, at_end = _best_inverse(logits[rows], labels[rows], low, high)
        if not at_end:
            return _minimise(logits, labels, start, low, high), False
    if _slope_and_curvature(logits, labels, high)[0] <= 0:
        return high, True
    if _slope_and_curvature(logits, labels, low)[0] >= 0:
        return low, True
    return _minimise(logits, labels, float(np.clip(1.0, low, high)), low, high), False


class TemperatureScaling(Recalibrator):
    """Divide all logits by one temperature, the one of least negative log-likelihood.

    p = softmax(z / T), T = argmin mean NLL.

    The NLL is convex in 1/T, so a bracketed Newton search cannot diverge, whatever the logits. T is sought from
    a thousandth to a thousand times the logits' own scale (the mean over rows of largest minus mean logit); `at_bound_`
    says if it ended there, as it does for a model that is never wrong on the held-out part.

    Property: keeps every row's order of classes. One parameter: hard to overfit.
    Reference: Guo et al. 2017, section 4.2.

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(4000, 3)); y = np.array([rng.choice(3, p=p) for p in softmax(z)])
    >>> round(TemperatureScaling().fit(3 * z, y).temperature_)
    3
    """

    temperature_: float
    at_bound_: bool

    @property
    def keeps_accuracy(self) -> bool:
        """True: the order of classes does not change."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> None:
        table = logits if logits.dtype.itemsize >= 4 else logits.astype(np.float32)
        peak = max(float(table.max()), -float(table.min()))
        unit = 1.0
        if not 1e-15 < peak < 1e15:  # squares would leave the dtype's range
            unit = peak or 1.0
            table = np.divide(table, unit, dtype=np.float64)
        scale = float((table.max(1) - table.mean(1, dtype=np.float64)).mean())
        self.temperature_, self.at_bound_ = 1.0, False
        if scale > 0:  # else all logits are equal, and every temperature gives the same answer
            beta, self.at_bound_ = _best_inverse(table, labels, 1e-3 / scale, 1e3 / scale)
            self.temperature_ = unit / beta

    def _apply(self, logits: Logits) -> Probs:
        return softmax(np.divide(logits, self.temperature_, dtype=np.float64))

    def as_affine(self) -> AffineMap:
        """Return z / T."""
        return AffineMap(np.eye(self.n_classes_) / self.temperature_, np.zeros(self.n_classes_))


class GridTemperatureScaling(Recalibrator):
    """Choose the temperature from the paper's grid, 0.1 to 10.0 in steps of 0.1, by ECE-15 or NLL.

    For parity with published tables: ties go to the lowest T, the grid is accumulated in floating point as there.

    Property: keeps every row's order of classes. Choosing by ECE is noisier than choosing by NLL.
    Reference: Mukhoti et al. 2020, section 5 and code.

    >>> GridTemperatureScaling("nll").fit([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [0, 0, 1]).temperature_
    2.9000000000000012
    """

    temperature_: float

    def __init__(self, objective: Literal["ece", "nll"] = "ece") -> None:
        self.objective = objective

    @property
    def keeps_accuracy(self) -> bool:
        """True: the order of classes does not change."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> None:
        if self.objective not in ("ece", "nll"):
            raise InputError(f"objective must be 'ece' or 'nll', got {self.objective!r}")
        best, temperature = np.inf, 0.1
        self.temperature_ = 1.0
        for _ in range(100):
            scaled = np.divide(logits, temperature, dtype=np.float64)
            score = _ece(softmax(scaled), labels) if self.objective == "ece" else _nll(scaled, labels)
            if score < best:
                best, self.temperature_ = score, temperature
            temperature += 0.1

    def _apply(self, logits: Logits) -> Probs:
        return softmax(np.divide(logits, self.temperature_, dtype=np.float64))

    def as_affine(self) -> AffineMap:
        """Return z / T."""
        return AffineMap(np.eye(self.n_classes_) / self.temperature_, np.zeros(self.n_classes_))


def _ece(probs: Probs, labels: Labels) -> float:
    confidence = probs.max(1)
    gap = confidence - (probs.argmax(1) == labels)
    return float(np.abs(np.bincount(bin_index(confidence, 15), weights=gap)).sum() / len(labels))


def _nll(logits: Logits, labels: Labels) -> float:
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())
