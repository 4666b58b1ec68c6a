"""Affine calibrators of the logits, fitted by penalised likelihood: vector, matrix, Dirichlet, structured."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedKFold

from surefoot.core.errors import InputError
from surefoot.core.numerics import row_log_sums, softmax
from surefoot.core.types import Labels, Logits, Probs
from surefoot.recalibrate.base import Calibrator, Steps
from surefoot.recalibrate.masks import UNDERFLOW, possible, refuse_absent
from surefoot.recalibrate.steps import LogSoftmax, affine
from surefoot.recalibrate.temperature import TemperatureScaling, absent_below, prior_weight

_CHUNK_VALUES = 1 << 17  # logits at a time: half a megabyte stays in the cache
_PAIRED_ROWS = 1000
_ABSENT = 1e6  # temperatures below the row's largest: where a class that is absent is put
_LEAST_SCALE = 0.05  # of a class that is absent from some rows, against the temperature's: it stays absent
_PATH = 10.0 ** np.arange(1, -9, -1)  # penalties from the strongest on, where one is to be chosen


class _Likelihood:
    """The NLL of softmax(W x + b) and its derivatives, chunk by chunk in float32, without a copy of the rows.

    x = scale (z - shift of the row) - middle of the column; W is a matrix (k, k), or its diagonal (k,). Sums over
    chunks are in float64.
    """

    def __init__(
        self, logits: Logits, labels: Labels, scale: float = 1.0, shift: np.ndarray | None = None,
        middle: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.logits, self.labels = logits, labels
        self.scale, self.shift, self.middle = scale, shift, middle
        self.n, self.k = logits.shape

    def rows(self, which: np.ndarray) -> "_Likelihood":
        """Return the likelihood of some rows."""
        shift = None if self.shift is None else self.shift[which]
        return _Likelihood(self.logits[which], self.labels[which], self.scale, shift, self.middle)

    def inputs(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Give x chunk by chunk, in float32."""
        plain = self.logits.dtype == np.float32 and self.shift is None and self.middle is None
        step = max(1, _CHUNK_VALUES // self.k)
        for start in range(0, self.n, step):
            part = slice(start, start + step)
            z = self.logits[part]
            if plain:
                yield part, z * np.float32(self.scale)
                continue
            x = z.astype(np.float64)
            if self.shift is not None:
                x -= self.shift[part, None]
            x *= self.scale
            if self.middle is not None:
                x -= self.middle
            yield part, x.astype(np.float32)

    def _chunks(
        self, weight: np.ndarray, bias: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Give the rows of each chunk, their probabilities, and the log probabilities of their labels."""
        w, b = weight.astype(np.float32), bias.astype(np.float32)
        for part, x in self.inputs():
            labels = self.labels[part]
            z = x @ w.T if w.ndim == 2 else x * w
            z += b
            z -= z.max(1, keepdims=True)
            rows = np.arange(len(z))
            at_label = z[rows, labels].astype(np.float64)
            np.exp(z, out=z)
            total = z.sum(1, dtype=np.float64)
            z /= total[:, None].astype(np.float32)
            yield x, z, rows, labels, at_label - np.log(total)

    def value(self, weight: np.ndarray, bias: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Compute the summed NLL and its gradients in W and b."""
        nll, by_weight, by_bias = 0.0, np.zeros(weight.shape), np.zeros(self.k)
        for x, p, rows, labels, log_p in self._chunks(weight, bias):
            nll -= float(log_p.sum())
            p[rows, labels] -= 1
            by_weight += p.T @ x if weight.ndim == 2 else np.einsum("nk,nk->k", p, x)
            by_bias += p.sum(0)
        return nll, by_weight, by_bias

    def curvature(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the diagonal of the Hessian in W and b: sum of p_i (1 - p_i) x_j^2, and of p_i (1 - p_i)."""
        by_weight, by_bias = np.zeros(weight.shape), np.zeros(self.k)
        for x, p, *_ in self._chunks(weight, bias):
            spread = p * (1 - p)
            by_weight += spread.T @ x**2 if weight.ndim == 2 else np.einsum("nk,nk->k", spread, x**2)
            by_bias += spread.sum(0)
        return by_weight, by_bias

    def fit(
        self, start: tuple[np.ndarray, np.ndarray], centre: tuple[np.ndarray, np.ndarray],
        precision: tuple[np.ndarray, np.ndarray], least: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Minimise NLL + sum precision (theta - centre)^2 / 2 over theta = (W, b), by L-BFGS; W is at least `least`.

        Where no row is wrong, the precision is larger by the number of rows (`prior_weight`): nothing else holds theta.

        Each parameter is measured in units of the square root of its curvature at the start: they differ by orders of
        magnitude, and L-BFGS would spend its steps learning that. Where the NLL ends above that of the centre, the
        centre is returned.
        """
        shape, split = start[0].shape, start[0].size
        origin, target, strength = (np.concatenate([w.ravel(), b]) for w, b in (start, centre, precision))
        strength = strength + self.n * prior_weight(self.logits, self.labels)
        curved = np.concatenate([part.ravel() for part in self.curvature(*start)])
        unit = 1 / np.sqrt(curved + strength + 1e-9 * self.n)

        def objective(moved: np.ndarray) -> tuple[float, np.ndarray]:
            theta = origin + unit * moved
            nll, by_weight, by_bias = self.value(theta[:split].reshape(shape), theta[split:])
            away = theta - target
            gradient = np.concatenate([by_weight.ravel(), by_bias]) + strength * away
            return (nll + float(strength @ away**2) / 2) / self.n, unit * gradient / self.n

        options = {"maxiter": 300, "maxcor": 20, "ftol": 1e-6, "gtol": 1e-6}
        bounds = None
        if least is not None:
            lowest = (np.r_[least.ravel(), np.full(self.k, -np.inf)] - origin) / unit
            bounds = np.stack([lowest, np.full(len(lowest), np.inf)], 1)
        fitted = minimize(objective, 0 * unit, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        theta = origin + unit * fitted.x
        learnt = theta[:split].reshape(shape), theta[split:]
        return learnt if self.value(*learnt)[0] <= self.value(*centre)[0] else centre


def _unit_scale(logits: Logits, labels: Labels, shift: np.ndarray | None = None) -> _Likelihood:
    """Return the likelihood in logits divided by the best temperature, where every calibrator starts."""
    scale = 1 / TemperatureScaling().fit(logits, labels).temperature_
    if shift is not None:  # logits so small that they are lost in the sum: more of it is rounding, magnified
        scale = min(scale, 1e12 / max(float(np.abs(shift).max()), 1e-300))
    return _Likelihood(logits, labels, scale, shift)


def _check_penalty(name: str, value: float | None) -> None:
    if value is not None and not (isinstance(value, int | float) and value > 0 and np.isfinite(value)):
        raise InputError(f"{name} must be a positive finite number, got {value!r}")


class VectorScaling(Calibrator):
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

    _by_likelihood = True
    _sees_offset = True

    def __init__(self, l2: float = 1.0) -> None:
        self.l2 = l2

    @property
    def keeps_accuracy(self) -> bool:
        """False: a shift can lift one class over another."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        _check_penalty("l2", self.l2)
        logits, labels = possible(logits, labels)
        if not len(labels):
            return affine(1.0)
        rows = _unit_scale(logits, labels)
        rows.logits, absent = _above_absent(logits, labels, 1 / rows.scale)
        start, strength = (np.ones(rows.k), np.zeros(rows.k)), np.full(rows.k, float(self.l2))
        least = np.where(absent, _LEAST_SCALE, -np.inf) if absent.any() else None
        weight, bias = rows.fit(start, start, (strength, strength), least)
        return affine(weight * rows.scale, bias)


def _above_absent(logits: Logits, labels: Labels, temperature: float) -> tuple[Logits, np.ndarray]:
    """Lift classes that are absent from a row to a number that float32 can square; also say which classes have one.

    As far below the row's largest as that they stay absent whatever their scale becomes; nothing that is a row's label
    is lifted.
    """
    peak = logits.max(1).astype(np.float64)
    farthest = (peak - logits[np.arange(len(labels)), labels]).max()
    gap = max(_ABSENT * temperature, 10 * float(farthest))
    if float(peak.max() - logits.min()) <= UNDERFLOW * temperature:  # the common case, in one cheap pass
        return logits, np.zeros(logits.shape[1], dtype=bool)
    below = peak[:, None] - logits
    return np.maximum(logits, (peak - gap)[:, None]), (below > UNDERFLOW * temperature).any(0)


def _odir(
    whole: _Likelihood, off_diagonal: float | None, intercept: float | None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Fit W, b with penalties off the diagonal and on the intercept, both per entry as published; choose what is None.

    A penalty is chosen on a held-out fifth, both alike, on a path from the strongest on that stops where it gets worse.
    """
    _check_penalty("off_diagonal", off_diagonal)
    _check_penalty("intercept", intercept)
    k, labels = whole.k, whole.labels

    def fit_with(
        rows: _Likelihood, start: tuple[np.ndarray, np.ndarray], off: float, penalty: float
    ) -> tuple[np.ndarray, np.ndarray]:
        precision = np.full((k, k), 2 * rows.n * off / (k * (k - 1)))
        np.fill_diagonal(precision, 0.01)  # a weak prior around the temperature: where a class never occurs, it decides
        centre = np.eye(k), np.zeros(k)
        return rows.fit(start, centre, (precision, np.full(k, 2 * rows.n * penalty / k + 1e-3)))

    def pair(value: float) -> tuple[float, float]:
        return off_diagonal or value, intercept or value

    chosen = pair(1.0)
    if (off_diagonal is None or intercept is None) and np.bincount(labels, minlength=k).max() >= 10:
        train, rest = _fifth(labels)
        rows, judge = whole.rows(train), whole.rows(rest)
        start, least = (np.eye(k), np.zeros(k)), np.inf
        for value in _PATH * k:
            start = fit_with(rows, start, *pair(value))
            nll = judge.value(*start)[0]
            if nll > least:
                break
            least, chosen = nll, pair(value)
    weight, bias = fit_with(whole, (np.eye(k), np.zeros(k)), *chosen)
    return weight * whole.scale, bias, *chosen


def _fifth(labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Divide rows at random into four fifths and one, each class alike where it can be."""
    rare = np.bincount(labels)[labels] < 5
    strata = np.where(rare, -1, labels)
    if 0 < rare.sum() < 5:
        strata[rare] = np.bincount(labels).argmax()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return next(folds.split(labels, strata))


class MatrixScaling(Calibrator):
    """Mix the classes' logits: p = softmax(W z + b), with off-diagonal and intercept regularisation (MS-ODIR).

    Minimises mean NLL + off_diagonal / (k (k - 1)) sum_{i != j} W_ij^2 + intercept / k sum b_i^2. What is not given is
    chosen on a held-out fifth of the rows. The diagonal has a prior of a hundredth of a row around the temperature,
    and where no row is wrong all have one of as many rows as there are (`prior_weight`).

    Property: can change the predicted class; k^2 + k parameters.
    Reference: Guo et al. 2017, section 4.2; Kull et al. 2019, section 3.

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5], [0.0, 1.0]])
    >>> MatrixScaling().fit(z, [0, 0, 1, 0, 1]).as_affine().weight.shape
    (2, 2)
    """

    _by_likelihood = True
    _mixes = True
    _sees_offset = True

    off_diagonal_: float
    intercept_: float

    def __init__(self, off_diagonal: float | None = None, intercept: float | None = None) -> None:
        self.off_diagonal = off_diagonal
        self.intercept = intercept

    @property
    def keeps_accuracy(self) -> bool:
        """False: classes are mixed."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        rows = _unit_scale(logits, labels)
        refuse_absent(logits, absent_below(logits, labels, 1 / rows.scale), type(self).__name__)
        weight, bias, self.off_diagonal_, self.intercept_ = _odir(rows, self.off_diagonal, self.intercept)
        return affine(weight, bias)


class DirichletCalibration(Calibrator):
    """Map log probabilities: p = softmax(W log softmax(z) + b), with off-diagonal and intercept regularisation.

    What a classifier's outputs call for if they are Dirichlet distributed within each class. Penalties as in
    `MatrixScaling`. A constant added to all logits changes nothing.

    Property: can change the predicted class; k^2 + k parameters.
    Reference: Kull et al. 2019, eq. 2 and section 3 (ODIR).

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5], [0.0, 1.0]])
    >>> DirichletCalibration().fit(z, [0, 0, 1, 0, 1]).predict_proba(z).shape
    (5, 2)
    """

    _by_likelihood = True
    _mixes = True

    off_diagonal_: float
    intercept_: float

    def __init__(self, off_diagonal: float | None = None, intercept: float | None = None) -> None:
        self.off_diagonal = off_diagonal
        self.intercept = intercept

    @property
    def keeps_accuracy(self) -> bool:
        """False: classes are mixed."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        rows = _unit_scale(logits, labels, row_log_sums(logits))
        refuse_absent(logits, absent_below(logits, labels, 1 / rows.scale), type(self).__name__)
        weight, bias, self.off_diagonal_, self.intercept_ = _odir(rows, self.off_diagonal, self.intercept)
        return (LogSoftmax(), *affine(weight, bias))


class StructuredMatrixScaling(Calibrator):
    """Matrix scaling whose freedom grows with the evidence: p = softmax(W log softmax(z) + b).

    Scales, mixing weights and shifts each have a normal prior around the best temperature. The variance of each prior
    is estimated in one pass, from how far the likelihood's slopes at the temperature exceed what chance gives them:
    with g the slopes and H the Hessian, var = (|g|^2 - tr H) / |H|^2. Where there is nothing to learn, the calibrator
    is the temperature's.

    Property: can change the predicted class. Nothing to choose.
    Reference: Berta, Holzmueller, Jordan, Bach 2025, *Structured matrix scaling* (the structure; the priors' variances
    by moments are ours).

    >>> z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.5], [0.0, 1.0]])
    >>> StructuredMatrixScaling().fit(z, [0, 0, 1, 0, 1]).predict_proba(z).shape
    (5, 2)
    """

    _by_likelihood = True
    _mixes = True

    scale_spread_: float
    mixing_spread_: float
    shift_spread_: float

    @property
    def keeps_accuracy(self) -> bool:
        """False: classes are mixed."""
        return False

    def _learn(self, logits: Logits, labels: Labels) -> Steps:
        rows = _unit_scale(logits, labels, row_log_sums(logits))
        refuse_absent(logits, absent_below(logits, labels, 1 / rows.scale), type(self).__name__)
        k = rows.k
        # centred columns: what a scale or a mixing weight does on average is the shift's affair
        middle = sum((x.sum(0, dtype=np.float64) for _, x in rows.inputs()), np.zeros(k)) / rows.n
        rows.middle = middle
        centre = np.eye(k), middle
        _, g_weight, g_bias = rows.value(*centre)
        h_weight, h_bias = rows.curvature(*centre)
        diagonal = np.eye(k, dtype=bool)
        kept = np.linspace(0, rows.n - 1, min(rows.n, _PAIRED_ROWS)).astype(np.intp)
        x = np.concatenate([x for _, x in rows.rows(kept).inputs()]).astype(np.float64)
        norms = _squared_norms(x, softmax(x + middle), rows.n)
        scale = _spread(g_weight[diagonal], h_weight[diagonal], norms[0])
        mixing = _spread(g_weight[~diagonal], h_weight[~diagonal], norms[1])
        shift = _spread(g_bias, h_bias, norms[2])
        self.scale_spread_, self.mixing_spread_, self.shift_spread_ = (
            float(np.sqrt(v)) for v in (scale, mixing, shift)
        )
        precision = np.where(diagonal, 1 / scale, 1 / mixing)
        weight, bias = rows.fit(centre, centre, (precision, np.full(k, 1 / shift)))
        return (LogSoftmax(), *affine(weight * rows.scale, bias - weight @ middle))


def _squared_norms(x: Logits, p: Probs, n: int) -> tuple[float, float, float]:
    """Estimate the squared Frobenius norms of the Hessian's blocks: scales, mixing weights, shifts.

    The Hessian is the sum over rows of (diag p - p p^T) times x x^T; its squared norm is a sum over pairs of rows, here
    estimated for n of them from the pairs of those that are given.
    """

    def gram(d: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return <diag d_n - v_n v_n^T, diag d_m - v_m v_m^T> for all pairs of rows."""
        cross = d @ (v**2).T
        return d @ d.T - cross - cross.T + (v @ v.T) ** 2

    def over_all(pairs: np.ndarray) -> float:
        m, diagonal = len(pairs), float(np.trace(pairs))
        others = (float(pairs.sum()) - diagonal) / max(m * (m - 1), 1)
        return max(n * diagonal / m + n * (n - 1) * others, 0.0)

    shift = gram(p, p)
    scale = over_all(gram(p * x**2, p * x))
    return scale, max(over_all(shift * (x @ x.T) ** 2) - scale, 0.0), over_all(shift)


def _spread(slopes: np.ndarray, curvatures: np.ndarray, squared_norm: float) -> float:
    """Estimate the variance of parameters by moments from the slopes and curvatures of their likelihood at zero.

    With Hessian H and parameters of variance v around zero, E[g g^T] = H + v H^2.
    """
    least = 1e-8
    if squared_norm <= 0:
        return least
    return min(max(float((slopes**2 - curvatures).sum()) / squared_norm, least), 1.0)
