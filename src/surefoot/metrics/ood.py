"""Telling inputs of another kind from those a classifier was trained on, by how sure it is."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from surefoot.core.checks import check_logits
from surefoot.core.distributions import average_ranks
from surefoot.core.numerics import softmax_and_rest
from surefoot.core.types import ArrayLike, Logits


def entropy(logits: Logits) -> Float[np.ndarray, " n"]:
    """Compute the entropy of the softmax, in nats: -sum_k p_k log p_k."""
    log_p = logits - logsumexp(logits, 1, keepdims=True)
    return -(np.exp(log_p) * np.maximum(log_p, np.finfo(np.float64).min)).sum(1)  # an absent class adds nothing


def max_probability(logits: Logits) -> Float[np.ndarray, " n"]:
    """Compute one minus the largest probability, summed from the others so that no digit is lost near one."""
    return np.exp(softmax_and_rest(logits)[3])


def energy(logits: Logits) -> Float[np.ndarray, " n"]:
    """Compute the free energy, -log sum_k exp z_k. Reference: Liu et al. 2020, eq. 4, temperature 1."""
    return -logsumexp(logits, 1)


# The greater a score, the less the input is like known ones.
OOD_SCORES: dict[str, Callable[[Logits], np.ndarray]] = {
    "entropy": entropy,
    "max-probability": max_probability,
    "energy": energy,
}


def ood_auroc(known: ArrayLike, ood: ArrayLike, score: str = "entropy") -> float:
    """Compute how often an unknown input scores above a known one, from logits (n, k) and (m, k); ties count half.

    Raises:
        InputError: tables that are not logits.

    >>> ood_auroc([[4.0, 0.0], [0.0, 5.0]], [[0.1, 0.0], [0.0, 0.2]])
    1.0
    """
    parts = [OOD_SCORES[score](check_logits(part).astype(np.float64)) for part in (known, ood)]
    n, m = map(len, parts)
    ranks = average_ranks(np.concatenate(parts))[n:]
    return float((ranks.sum() - m * (m + 1) / 2) / (n * m))
