"""Recordings as pictures: log-mel spectrograms of one size."""

import numpy as np
import torch
from jaxtyping import Float

from surefoot.core.errors import InputError


def spectrogram(
    samples: np.ndarray, rate: int, bands: int = 32, frames: int = 32, window: float = 0.032
) -> Float[np.ndarray, "bands frames"]:
    """Return log(1e-3 + energy) in bands of equal width in mel, in so many frames over the whole recording.

    The recording is scaled to a largest magnitude of 1 first; integers are allowed. Frames are as far apart as the
    recording is long, so time is normalised too.

    Raises:
        InputError: no sample, a value that is not finite, a rate of nothing.
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all() or rate <= 0:
        raise InputError(f"samples {x.shape} at a rate of {rate}: one finite channel with a positive rate is needed")
    length = max(int(window * rate), 2)
    x = x / max(np.abs(x).max(), 1e-9)
    starts = np.linspace(0, max(len(x) - length, 0), frames).astype(int)
    windows = np.stack([np.pad(x[s : s + length], (0, max(length - len(x[s:]), 0))) for s in starts])
    power = torch.fft.rfft(torch.from_numpy(windows * np.hanning(length))).abs().numpy() ** 2 / length
    return np.log(1e-3 + _mel(bands, power.shape[1], rate) @ power.T)


def _mel(bands: int, bins: int, rate: int) -> np.ndarray:
    """Return triangles over frequency, (bands, bins): mel = 2595 log10(1 + f / 700)."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    f = np.linspace(0, rate / 2, bins)
    rise = (f - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], 1e-9)[:, None]
    fall = (edges[2:, None] - f) / np.maximum(edges[2:] - edges[1:-1], 1e-9)[:, None]
    return np.clip(np.minimum(rise, fall), 0, None)
