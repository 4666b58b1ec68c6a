"""Smooth ECE: calibration error by kernel smoothing, without bins to choose."""

import numpy as np
from scipy.fft import dct, idct

from surefoot.core.scored import Scored
from surefoot.core.types import ArrayLike
from surefoot.metrics.reliability import Reliability, observe_reliability, zero_in_first

_CELLS = 4096  # of the grid on which residuals are kept; a power of two, so that edges are exact


def observe_smooth(probs: ArrayLike | Scored, labels: ArrayLike) -> Reliability:
    """Tally top-label confidences and correct rows on a fine grid of the unit interval."""
    return observe_reliability(probs, labels, _CELLS)


def read_smooth_ece(tally: Reliability) -> float:
    """Read smECE: the width s of a Gaussian kernel, reflected at 0 and 1, at which the smoothed error equals s.

    r_s(t) = 1/n sum_i K_s(t, c_i) (hit_i - c_i); smECE is the s with integral |r_s(t)| dt = s.

    Residuals are kept in cells of width w = 1/4096: moved by at most w/2, they change the integral by less than
    w / s times the mean |hit - c| of the cells (and by far less where neighbours cancel).

    Property: consistent: bounds the distance from calibration from both sides up to constants.
    Reference: Blasiok and Nakkiran 2023, *Smooth ECE*, definitions 2 and 4.

    >>> from surefoot.metrics import observe_confidence
    >>> round(read_smooth_ece(observe_confidence([0.8] * 100, [1] * 50 + [0] * 50, 4096)), 2)
    0.3
    """
    residual = zero_in_first(tally.correct) - zero_in_first(tally.confidence)
    cells = len(residual)
    waves = np.asarray(dct(residual / tally.count.sum(), type=2))
    squares = (np.pi * np.arange(cells)) ** 2 / 2

    def error(width: float) -> float:
        # a reflected Gaussian is multiplication by exp(-(pi m width)^2 / 2) in the cosine basis
        kept = squares.searchsorted(746 / width**2)  # beyond, the factor is less than any double
        smoothed = np.asarray(idct(waves[:kept] * np.exp(-squares[:kept] * width**2), type=2, n=cells))
        return float(np.abs(smoothed).sum())

    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    return error(high)
