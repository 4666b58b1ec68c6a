"""A kernel test of calibration: are the labels what the probabilities say, seen as two samples?"""

from dataclasses import dataclass

import numpy as np

from surefoot.core.checks import check_labels
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored, scored
from surefoot.core.types import ArrayLike
from surefoot.metrics.uncertainty import draw_labels


@dataclass(frozen=True)
class KernelTest:
    """The squared kernel calibration error (unbiased: it can be negative), its p-value, and on how many rows."""

    error: float
    pvalue: float
    rows: int


def kernel_test(
    probs: ArrayLike | Scored, labels: ArrayLike, rows: int = 1000, draws: int = 200, seed: int = 0
) -> KernelTest:
    """Test the calibration of the full vector: mean over pairs i != j of exp(-TV(p_i, p_j) / w) <e_i, e_j>, e = y - p.

    w is the median of the total variation distances. The law under calibration is drawn, not approximated: labels are
    drawn from the probabilities `draws` times, and the p-value is (1 + as large) / (1 + draws).

    Property: exact at any size; sees every smooth miscalibration of the vector. Quadratic in rows: of more than
    `rows`, as many are taken at random.

    Raises:
        InputError: tables that are not probabilities, fewer than two rows.

    Reference: Widmann, Lindsten, Zachariah 2019, theorem 1 and section 7.

    >>> rng = np.random.default_rng(0)
    >>> p = rng.dirichlet([1, 1, 1], size=300); y = (p.cumsum(1) < rng.random((300, 1))).sum(1)
    >>> kernel_test(p, y).pvalue > 0.05, kernel_test(p, (y + 1) % 3).pvalue
    (True, 0.004975124378109453)
    """
    table = scored(probs).probs
    target = check_labels(labels, *table.shape)
    rng = np.random.default_rng(seed)
    if len(table) > rows:
        kept = np.sort(rng.choice(len(table), rows, replace=False))
        table, target = table[kept], target[kept]
    if len(table) < 2:
        raise InputError("a test over pairs of rows needs at least two rows")
    p = table.astype(np.float64)
    n = len(p)
    distance = np.zeros((n, n))
    for column in p.T:
        distance += np.abs(column[:, None] - column)
    distance /= 2
    width = float(np.median(distance[np.triu_indices(n, 1)]))
    kernel = np.exp(-distance / width) if width > 0 else np.ones((n, n))
    np.fill_diagonal(kernel, 0.0)
    # <e_i, e_j> summed with the kernel: the part that no label touches is computed once
    by_class = kernel @ p
    fixed = float((p * by_class).sum())

    def statistic(y: np.ndarray) -> float:
        same = kernel[y[:, None] == y].sum()
        return float(same - 2 * by_class[np.arange(n), y].sum() + fixed) / (n * (n - 1))

    value = statistic(target)
    chance = np.array([statistic(y) for y in draw_labels(p, seed, draws)])
    as_large = int((chance >= value - 1e-12).sum())
    return KernelTest(value, (1 + as_large) / (1 + draws), n)
