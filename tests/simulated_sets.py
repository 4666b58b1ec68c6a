"""Test sets of known law: what a model claims, and how its labels are drawn. For coverage, verdicts and attacks."""

from dataclasses import dataclass

import numpy as np

from surefoot.core.numerics import softmax


@dataclass(frozen=True)
class Simulated:
    """Probabilities (n, k) that a model claims, and those that its labels are drawn from."""

    claimed: np.ndarray
    true: np.ndarray

    def labels(self, rng):
        """Draw labels."""
        cumulative = self.true.cumsum(1)
        u = rng.random(len(cumulative)) * cumulative[:, -1]
        return np.minimum((cumulative <= u[:, None]).sum(1), cumulative.shape[1] - 1)

    def means(self):
        """Return the expected accuracy, NLL, Brier score, and confidence minus accuracy, of these rows."""
        p, q = self.claimed, self.true
        right = q[np.arange(len(q)), p.argmax(1)]
        return {
            "accuracy": float(right.mean()),
            "nll": float(-(q * np.log(p)).sum(1).mean()),
            "brier": float(((p**2).sum(1) + (q * (1 - 2 * p)).sum(1)).mean()),
            "overconfidence": float(p.max(1).mean() - right.mean()),
        }


def tempered(rng, n, k, temperature):
    """Claim softmax(z / temperature), z normal with standard deviation 2, where softmax(z) is true."""
    z = 2 * rng.normal(size=(n, k))
    return Simulated(softmax(z / temperature), softmax(z))


def skewed(rng, n, k, error, temperature=1.0):
    """Claim a mean error rate, exponential over rows; true is what the claims are at another temperature."""
    wrong = np.minimum(error * rng.gamma(1.0, size=n), 0.45)
    others = np.maximum(rng.dirichlet(np.full(k - 1, 0.5), size=n), 1e-6) if k > 2 else np.ones((n, 1))
    others /= others.sum(1, keepdims=True)
    true = np.c_[1 - wrong, others * wrong[:, None]]
    return Simulated(softmax(np.log(true) / temperature), true)


def noisy(rng, n, k, error, noise):
    """Claim a small error rate, where a share of the labels is random."""
    claimed = skewed(rng, n, k, error).claimed
    return Simulated(claimed, (1 - noise) * claimed + noise / k)


def partly_noisy(rng, n, k):
    """Claim 0.99999 of one half of the rows, where 4% of the labels are random; the others are calibrated."""
    sure, unsure, half = noisy(rng, n, k, 1e-5, 0.04), skewed(rng, n, k, 0.35), rng.random(n) < 0.5
    return Simulated(
        *(np.where(half[:, None], a, b) for a, b in ((sure.claimed, unsure.claimed), (sure.true, unsure.true)))
    )


SETTINGS = {
    "calibrated": lambda rng, n, k: tempered(rng, n, k, 1.0),
    "over-confident, T = 0.5": lambda rng, n, k: tempered(rng, n, k, 0.5),
    "under-confident, T = 2": lambda rng, n, k: tempered(rng, n, k, 2.0),
    "accuracy 0.9, T = 0.5": lambda rng, n, k: skewed(rng, n, k, 0.1, 0.5),
    "accuracy 0.99, calibrated": lambda rng, n, k: skewed(rng, n, k, 0.01),
    "accuracy 0.999, calibrated": lambda rng, n, k: skewed(rng, n, k, 0.001),
    "claims 0.9999, 1% of labels random": lambda rng, n, k: noisy(rng, n, k, 1e-4, 0.01),
    "half claims 0.99999, 4% of its labels random": partly_noisy,
}


def exchangeable(rng, n, k, hard):
    """Return logits of two models, and labels (n,): neither is better, both are the truth with noise of their own.

    A share `hard` of the rows is hard, the others are almost never answered wrongly; all rows are alike if it is None.
    """
    if hard is None:
        truth = 2 * rng.normal(size=(n, k))
    else:
        margin = np.where(rng.random((n, 1)) < hard, 1, 8)
        truth = margin * np.eye(k)[rng.integers(k, size=n)] + 0.3 * rng.normal(size=(n, k))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    return truth + rng.normal(size=truth.shape), truth + rng.normal(size=truth.shape), labels
