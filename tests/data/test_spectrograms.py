"""Spectrograms: a tone is in its band."""

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.data.spectrograms import spectrogram


def test_a_tone_is_in_its_band_at_any_length_and_loudness() -> None:
    rate = 8000

    def band(f: float, n: int, loud: float) -> int:
        tone = (loud * np.sin(2 * np.pi * f * np.arange(n) / rate)).astype(np.float32)
        return int(spectrogram(tone, rate).mean(1).argmax())

    assert band(440, 3000, 1.0) == band(440, 9000, 100.0) < band(1500, 3000, 1.0) < band(3500, 3000, 1.0)
    assert spectrogram(np.zeros(10, dtype=np.int16), rate).shape == (32, 32)
    assert np.isfinite(spectrogram(np.ones(1), rate)).all()
    for wrong in (np.zeros(0), np.zeros((2, 5)), np.array([np.nan])):
        with pytest.raises(InputError, match="one finite channel"):
            spectrogram(wrong, rate)
