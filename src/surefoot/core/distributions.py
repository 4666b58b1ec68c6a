"""Cumulative probabilities and quantiles of a few laws, by `scipy.special`: to import `scipy.stats` takes a second."""

import math

import numpy as np
from scipy.special import betainccinv, betaincinv, gammainc, gammaincc, ndtr, ndtri, stdtr, stdtrit

_NEARLY_NORMAL = 1.6e-5  # a skewness below which the law of Pearson's third type is the normal one


def normal_quantile(p: float) -> float:
    """Return the standard normal number that a share p lies below."""
    return float(ndtri(p))


def t_cdf(x: float, freedom: float) -> float:
    """Return the chance that Student's t lies below x."""
    return float(stdtr(freedom, x))


def t_quantile(p: float, freedom: float) -> float:
    """Return the number that Student's t lies below with chance p.

    >>> round(t_quantile(0.975, 4), 3)
    2.776
    """
    return float(stdtrit(freedom, p))


def beta_quantile(p: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the number that a beta distributed one lies below with chance p."""
    return betaincinv(a, b, p)


def beta_upper_quantile(p: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the number that a beta distributed one lies above with chance p."""
    return betainccinv(a, b, p)


def pearson3_cdf(x: float, skewness: float) -> float:
    """Return the chance that a number of mean 0, width 1 and Pearson's third type lies below x.

    It is a gamma distributed number, shifted and scaled; mirrored where the skewness is negative.

    >>> round(pearson3_cdf(0.0, 0.5), 3)
    0.533
    """
    if abs(skewness) < _NEARLY_NORMAL:
        return float(ndtr(x))
    scale = 2 / skewness
    shape = scale**2
    return float((gammainc if skewness > 0 else gammaincc)(shape, max(0.0, scale * (x + shape / scale))))


def skewness_of(values: np.ndarray) -> float:
    """Compute the third central moment over the third power of the width; NaN where all values are the same."""
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return float((centred**3).mean()) / variance**1.5 if variance > 0 else math.nan


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1 on; those that tie share their average.

    >>> average_ranks(np.array([3.0, 1.0, 3.0]))
    array([2.5, 1. , 2.5])
    """
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[which]
