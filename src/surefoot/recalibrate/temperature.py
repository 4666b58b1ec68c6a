"""Temperature scaling: by convex search on the likelihood, and by the paper's grid."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from surefoot.core.bins import bin_index
from surefoot.core.errors import InputError
from surefoot.core.numerics import log_softmax, row_log_sums, softmax
from surefoot.core.types import Labels, Logits, Probs
from surefoot.recalibrate.base import Calibrator, Steps
from surefoot.recalibrate.masks import UNDERFLOW, possible, refuse_absent
from surefoot.recalibrate.steps import TOP_SCORES, Affine, Mix, RowTemperature, Softmax, scaling

_CHUNK_VALUES = 1 << 17  # logits at a time: half a megabyte stays in the cache
_WARM_UP_ROWS = 4096
_SCALE_ROWS = 1024
_FAR = 1000.0  # scales
_LEAP = 30.0  # from a gap to the next larger one of another row
_SHARPEST = 1e30  # inverse temperature: float32 holds it
_ENOUGH_WRONG = 28  # rows: exp(-28) is below what arithmetic resolves


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


def prior_weight(logits: Logits, labels: Labels) -> float:
    """Compute the weight, against that of the rows, of a prior that holds a fit to them where none is wrong.

    1 there, a factor e less with every wrong row, 0 from 28 on: without a wrong row every sharper calibrator is more
    likely, and wrong rows bound it. So it vanishes as rows are added, unless the model is never wrong, which tells
    nothing.
    """
    wrong = np.count_nonzero(logits[np.arange(len(labels)), labels] < logits.max(1))
    return float(np.exp(-float(wrong))) if wrong < _ENOUGH_WRONG else 0.0


def prior(beta: np.ndarray | float) -> np.ndarray | float:
    """Compute the prior of an inverse temperature, in scales of the logits: (beta - 1)^2 / (beta + 1) above 1, else 0.

    Convex, about (beta - 1)^2 / 2 near 1 and beta far above, as if rows were wrong. Below 1 nothing must be held: no
    row costs more than log k there.
    """
    return np.maximum(np.asarray(beta) - 1, 0) ** 2 / (np.asarray(beta) + 1)


class _Objective:
    """The mean NLL of softmax(beta z), and weight scale prior(beta / identity): convex, least at the identity."""

    def __init__(self, logits: Logits, labels: Labels, scale: float, identity: float = 1.0) -> None:
        self.logits, self.labels, self.scale, self.identity = logits, labels, scale, identity
        self.weight = prior_weight(logits, labels)

    def rows(self, which: np.ndarray) -> "_Objective":
        """Return that of some rows."""
        return _Objective(self.logits[which], self.labels[which], self.scale, self.identity)

    def derivatives(self, beta: float) -> tuple[float, float]:
        """Compute slope and curvature in beta."""
        slope, curvature = _slope_and_curvature(self.logits, self.labels, beta)
        above = beta / self.identity
        if self.weight and above > 1:
            slope += self.weight * self.scale * (1 - (2 / (above + 1)) ** 2)
            curvature += self.weight * self.scale * (2 / (above + 1)) ** 3 / self.identity
        return slope, curvature


def _minimise(rows: _Objective, beta: float, low: float, high: float) -> float:
    """Find the beta in [low, high] of least value: Newton on a convex function, kept inside a bracket."""
    for step in range(100):
        slope, curvature = rows.derivatives(beta)
        low, high = (low, beta) if slope > 0 else (beta, high)
        new = beta - slope / curvature if curvature > 0 else np.inf
        newton = low <= new <= high and step % 8 != 7  # now and then halve the bracket, whatever Newton says
        new = new if newton else float(np.sqrt(low) * np.sqrt(high))
        # A Newton step leaves an error of the order of its square: stop once that is nothing.
        if abs(new - beta) <= (2e-4 if newton else 1e-12) * beta:
            return new
        beta = new
    return beta


def _ends(logits: Logits, labels: Labels, scale: float, identity: float) -> tuple[float, float]:
    """Return between which inverse temperatures the most likely one is sought.

    With d the mean of the largest logit less the label's, beta d is at most the NLL at beta, and the least NLL at most
    that at beta = 0, log k: so log(k) / d is not too low an end. A stand-in is no row's label, so it has no part in d.
    """
    wrong_by = float((logits.max(1).astype(np.float64) - logits[np.arange(len(labels)), labels]).mean())
    low, high = min(1 / (_FAR * max(scale, wrong_by)), identity), max(_FAR / scale, identity)
    return (low, max(high, min(float(np.log(logits.shape[1])) / wrong_by, _SHARPEST))) if wrong_by > 0 else (low, high)


def _best_inverse(rows: _Objective, low: float, high: float) -> tuple[float, bool]:
    """Find the best beta in [low, high], and whether it is an end: the slope there says so before any search."""
    n = len(rows.labels)
    if n > 2 * _WARM_UP_ROWS:  # a good start from evenly spread rows costs next to nothing
        start, at_end = _best_inverse(rows.rows(evenly(n, _WARM_UP_ROWS)), low, high)
        if not at_end:
            return _minimise(rows, start, low, high), False
    if rows.derivatives(high)[0] <= 0:
        return high, True
    if rows.derivatives(low)[0] >= 0:
        return low, True
    return _minimise(rows, float(np.clip(rows.identity, low, high)), low, high), False


def evenly(n: int, most: int) -> np.ndarray:
    """Return the numbers of at most so many of n rows, evenly spread."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.intp)


def absent_below(logits: Logits, labels: Labels, temperature: float) -> float:
    """Return how far below its row's largest logit a class counts as absent to a calibrator that mixes classes.

    Where its probability underflows at the best temperature (as far as that is within reason), it is a thousand times
    the scale of logits away, and ten times further than any row's label is.
    """
    scale = scale_of(logits)
    gaps = logits.max(1).astype(np.float64) - logits[np.arange(len(labels)), labels]
    return max(min(UNDERFLOW * temperature, 10 * _FAR * scale), _FAR * scale, 10 * float(gaps.max()))


def scale_of(logits: Logits) -> float:
    """Estimate the scale of logits: the median, over rows, of the largest less the next that is not equal to it.

    A class that is absent, whatever number stands for it, is no row's next while another one is there; rows where it is
    the only other one do not count, however many they are (`_that_matter`). 0 where all logits of every row are equal.
    """
    gaps = _that_matter(_gaps(logits[evenly(len(logits), _SCALE_ROWS)]))
    if len(logits) > _SCALE_ROWS and (not len(gaps) or gaps[0] > UNDERFLOW):  # those rows may hold stand-ins alone
        gaps = _that_matter(_gaps(logits))
    return float(np.median(gaps)) if len(gaps) else 0.0


def _gaps(logits: Logits) -> Float[np.ndarray, " m"]:
    """Return what the largest is above the next that is not equal to it, of rows that have one, sorted."""
    gaps = []
    step = max(1, _CHUNK_VALUES // logits.shape[1])
    for start in range(0, len(logits), step):
        chunk = logits[start : start + step].astype(np.float64)
        peak = chunk.max(1)
        following = np.where(chunk < peak[:, None], chunk, -np.inf).max(1)
        gaps.append((peak - following)[np.isfinite(following)])
    return np.sort(np.concatenate(gaps))


def _that_matter(gaps: Float[np.ndarray, " m"]) -> Float[np.ndarray, " r"]:
    """Leave out gaps to stand-ins: those after a leap, to where exp underflows."""
    leaps = np.flatnonzero((gaps[1:] > UNDERFLOW) & (gaps[1:] >= _LEAP * gaps[:-1]))
    return gaps[: leaps[0] + 1] if len(leaps) else gaps


class TemperatureScaling(Calibrator):
    """Divide all logits by one temperature, the one of least negative log-likelihood.

    p = softmax(z / T), T = argmin mean NLL.

    The NLL is convex in 1/T, so a bracketed Newton search cannot diverge, whatever the logits. A held-out part without
    an error asks for T = 0: there a prior on T below 1 holds it, which fades with every row that is wrong (`prior`,
    `prior_weight`). So the NLL of these rows never becomes worse. T is sought from a thousandth to a thousand times the
    logits' own scale (`scale_of`), and 1, and as far as wrong rows let it be. `at_bound_` says that the
    likelihood alone knows no best T: no row is wrong, and the prior held it, or it ended where the search ends, as for
    a model that is always wrong.

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

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        table = logits if logits.dtype.itemsize >= 4 else logits.astype(np.float32)
        table, labels = possible(table, labels)
        scale = scale_of(table) if len(table) else 0.0
        self.temperature_, self.at_bound_ = 1.0, not len(table)
        if scale > 0:  # else all logits are equal, and every temperature gives the same answer
            unit = 1.0
            if not 1e-15 < scale < 1e15:  # squares would leave the dtype's range
                unit = scale
                table = np.divide(table, unit, dtype=np.float64)
            rows = _Objective(table, labels, scale / unit, unit)
            beta, at_end = _best_inverse(rows, *_ends(table, labels, scale / unit, unit))
            self.temperature_, self.at_bound_ = unit / beta, at_end or rows.weight == 1
        return scaling(self.temperature_)


class GridTemperatureScaling(Calibrator):
    """Choose the temperature from the paper's grid, 0.1 to 10.0 in steps of 0.1, by ECE-15 or NLL.

    For parity with published tables: ties go to the lowest T, the grid is accumulated in floating point as there. Only
    where no row is wrong, and the lowest T would win whatever the rows, the prior of `TemperatureScaling` is added.
    `at_bound_` says if an end of the grid was chosen, or no row is wrong.

    Property: keeps every row's order of classes. Choosing by ECE is noisier than choosing by NLL.
    Reference: Mukhoti et al. 2020, section 5 and code.

    >>> GridTemperatureScaling("nll").fit([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [0, 0, 1]).temperature_
    2.9000000000000012
    """

    temperature_: float
    at_bound_: bool

    def __init__(self, objective: Literal["ece", "nll"] = "ece") -> None:
        self.objective = objective

    @property
    def keeps_accuracy(self) -> bool:
        """True: the order of classes does not change."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        if self.objective not in ("ece", "nll"):
            raise InputError(f"objective must be 'ece' or 'nll', got {self.objective!r}")
        if self.objective == "nll":
            logits, labels = possible(logits, labels)
            if not len(labels):
                self.temperature_, self.at_bound_ = 1.0, True
                return scaling(1.0)
        grid = np.cumsum(np.full(100, 0.1))  # one after another, as a loop adds them
        scaled = (np.divide(logits, temperature, dtype=np.float64) for temperature in grid)
        judge = (lambda z: _ece(softmax(z), labels)) if self.objective == "ece" else (lambda z: _nll(z, labels))
        scores = np.array([judge(z) for z in scaled])
        never_wrong = prior_weight(logits, labels) == 1
        if never_wrong and np.ptp(scores) > 0:  # where all are as good, the lowest, as published
            scores += scale_of(logits) * prior(1 / np.round(grid, 1))  # 1.0 is 0.9999999999999999 there
        best = int(scores.argmin())
        self.temperature_, self.at_bound_ = float(grid[best]), never_wrong or best in (0, len(grid) - 1)
        return scaling(self.temperature_)


class EnsembleTemperatureScaling(Calibrator):
    """Mix the probabilities after a temperature, as they are, and uniform: p = w1 softmax(z/T) + w2 softmax(z) + w3/k.

    T by least NLL first, then the weights, at least 0 with sum 1, by least NLL (convex).

    Property: keeps every row's order of classes. Three parameters.
    Reference: Zhang, Kailkhura, Han 2020, *Mix-n-Match*, eq. 8.

    >>> z = np.array([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    >>> EnsembleTemperatureScaling().fit(z, [0, 0, 1, 1]).weights_.shape
    (3,)
    """

    _by_likelihood = True

    temperature_: float
    weights_: Float[np.ndarray, " 3"]

    @property
    def keeps_accuracy(self) -> bool:
        """True: the order of classes does not change."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        self.temperature_ = TemperatureScaling().fit(logits, labels).temperature_
        k = logits.shape[1]
        parts = [_own(logits, labels, scale) for scale in (1 / self.temperature_, 1.0)]
        self.weights_ = _mixture(np.stack([*parts, np.full(len(labels), -np.log(k))], 1))
        return (Mix(self.weights_[:2], (scaling(self.temperature_), (Softmax(),))),)


def _own(logits: Logits, labels: Labels, scale: float) -> np.ndarray:
    """Compute log p of each row's label after a scale."""
    rows = np.arange(len(labels))
    return scale * logits[rows, labels].astype(np.float64) - row_log_sums(logits, scale)


def _mixture(log_own: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " m"]:
    """Find the weights on the simplex of least mean -log(own weights), by expectation-maximisation.

    Where it has not come below the first part alone, that is returned.
    """
    m = log_own.shape[1]
    p = np.exp(log_own - log_own.max(1, keepdims=True))  # a factor a row changes no weight
    weights = np.full(m, 1 / m)
    for _ in range(500):
        before = weights
        weights = weights * (p / (p @ weights)[:, None]).mean(0)
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < 1e-7:
            break
    alone = np.eye(m)[0]
    with np.errstate(divide="ignore"):
        return weights if np.log(p @ weights).sum() >= np.log(p @ alone).sum() else alone


class ParameterizedTemperatureScaling(Calibrator):
    """Give every row a temperature of its own, computed by a small network from its ten largest logits.

    Two hidden layers of five, as published; fitted by NLL with L-BFGS from the best single temperature, with a ridge of
    `l2` rows on the weights and on what the biases move, and more where hardly a row is wrong (`prior_weight`). Where
    none is, or the NLL does not come below that of the single temperature, it stays.

    Property: keeps every row's order of classes. About a hundred parameters.
    Reference: Tomani, Cremers, Buettner 2022, *Parameterized Temperature Scaling*, section 3.

    >>> z = np.random.default_rng(0).normal(size=(50, 3))
    >>> ParameterizedTemperatureScaling().fit(z, z.argmax(1)).predict_proba(z).shape
    (50, 3)
    """

    _by_likelihood = True
    _mixes = True

    def __init__(self, l2: float = 1.0, seed: int = 0) -> None:
        self.l2 = l2
        self.seed = seed

    @property
    def keeps_accuracy(self) -> bool:
        """True: a row is divided by one number."""
        return True

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        temperature = TemperatureScaling().fit(logits, labels).temperature_
        refuse_absent(logits, absent_below(logits, labels, temperature), type(self).__name__)
        ridge = self.l2 + len(labels) * prior_weight(logits, labels)
        z = np.ascontiguousarray(np.divide(logits, temperature, dtype=np.float64))
        rng = np.random.default_rng(self.seed)
        sizes = [(5, min(TOP_SCORES, z.shape[1])), (5,), (5, 5), (5,), (5,), ()]
        start = [rng.normal(size=s) / np.sqrt(s[-1]) if len(s) == 2 else np.zeros(s) for s in sizes]
        start[-1] = np.array(np.log(np.expm1(1.0)))  # softplus of it is 1: the single temperature
        candidates = [start]
        if prior_weight(logits, labels) != 1:
            from surefoot.recalibrate.row_temperature import fit_network  # noqa: PLC0415  (PyTorch, for this calibrator alone)

            candidates = [fit_network(z, labels, ridge, start), start]
        fitted = [RowTemperature(*values) for values in candidates]
        learnt = min(fitted, key=lambda step: _nll(step(z), labels))
        return (Affine(np.array(1 / temperature), np.array(0.0)), learnt, Softmax())


def _ece(probs: Probs, labels: Labels) -> float:
    confidence = probs.max(1)
    gap = confidence - (probs.argmax(1) == labels)
    return float(np.abs(np.bincount(bin_index(confidence, 15), weights=gap)).sum() / len(labels))


def _nll(logits: Logits, labels: Labels) -> float:
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())
