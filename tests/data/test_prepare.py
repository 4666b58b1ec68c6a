"""Preparation of batches: normalisation against its formula, augmentation against plain slicing."""

import torch

from surefoot.data import Prepare


def images(n=64, c=3, size=6):
    return torch.arange(1, n * c * size * size + 1).reshape(n, c, size, size) % 251


def test_bytes_are_scaled_and_every_channel_is_normalised():
    x = images().to(torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    ready = Prepare(mean, std)(x)
    for channel in range(3):
        torch.testing.assert_close(ready[:, channel], (x[:, channel].float() / 255 - mean[channel]) / std[channel])
    assert torch.equal(Prepare(mean, std, pad=2, flip=True)(x), ready)  # nothing random but in training


def test_augmentation_takes_every_window_and_mirror_and_nothing_else():
    x = images(n=600).to(torch.uint8)
    torch.manual_seed(0)
    seen = Prepare(pad=1, flip=True)(x, augment=True)
    padded = torch.nn.functional.pad(x, [1] * 4)
    found = set()
    for image, window in zip(padded, seen, strict=True):
        for dy in range(3):
            for dx in range(3):
                plain = image[:, dy : dy + 6, dx : dx + 6].float() / 255
                found |= {(dy, dx, f) for f in (0, 1) if torch.equal(plain.flip(2) if f else plain, window)}
    assert len(found) == 18
    torch.manual_seed(0)
    assert torch.equal(Prepare(pad=1, flip=True)(x, augment=True), seen)  # the seed decides


def test_flips_are_fair_and_shifts_uniform():
    x = torch.zeros(4000, 1, 5, 5, dtype=torch.uint8)
    x[:, :, 2, 1] = 255
    torch.manual_seed(1)
    seen = Prepare(pad=1, flip=True)(x, augment=True)[:, 0]
    columns = seen.amax(1).argmax(1)
    counts = torch.bincount(columns, minlength=5)  # column 1 or, mirrored, 3; moved by -1, 0 or 1
    expected = torch.tensor([1, 1, 2, 1, 1]) / 6 * 4000
    assert ((counts - expected).abs() < 5 * (expected.sqrt())).all()


def test_whole_numbers_that_are_no_bytes_are_left_alone():
    words = torch.tensor([[3, 1, 0]], dtype=torch.int32)
    assert torch.equal(Prepare()(words, augment=True), words)
