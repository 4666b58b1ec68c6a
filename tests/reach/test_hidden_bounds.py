"""What a box hands on to its parts: bounds there too, of lines that hold over all of it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.reach.hidden_bounds import HiddenBounds, estimated, halves


def with_lines(rng: np.random.Generator) -> tuple[HiddenBounds, np.ndarray, np.ndarray]:
    """Make bounds of affine values of three inputs over two boxes, and these."""
    centre, radius = rng.normal(size=(2, 3)), rng.random((2, 3))
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=4)
    low, high = centre - radius, centre + radius
    over = HiddenBounds(torch.from_numpy(low), torch.from_numpy(high), 4, None)
    middle, reach = centre @ weight.T + bias, radius @ np.abs(weight).T
    ends = torch.from_numpy(middle - reach - 1e-12), torch.from_numpy(middle + reach + 1e-12)
    lines = torch.from_numpy(weight).expand(2, -1, -1)
    over.keep((slice(None), slice(0, 4)), ends, (lines, lines))
    return over, weight, bias


@given(st.integers(0, 10**6))
def test_a_part_is_bounded_by_the_lines_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    over, weight, bias = with_lines(rng)
    share = np.sort(rng.random((2, 2, 3)), 0)
    low, high = (over.low + torch.from_numpy(s) * (over.high - over.low) for s in share)
    known = over.known_within(torch.arange(2), low, high)
    x = low.numpy() + rng.random((50, 2, 3)) * (high - low).numpy()
    values = x @ weight.T + bias
    assert (values >= known[:, 0].numpy() - 1e-14).all()
    assert (values <= known[:, 1].numpy() + 1e-14).all()
    corners = np.where(weight > 0, low.numpy()[:, None], high.numpy()[:, None])
    np.testing.assert_allclose(known[:, 0], (corners * weight).sum(2) + bias, atol=1e-9)


def test_without_a_line_a_part_keeps_the_bounds_of_the_whole() -> None:
    low, high = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
    known = torch.tensor([[[-1.0, -2.0], [1.0, 2.0]]]).double()
    over = HiddenBounds(low, high, 2, known)
    assert over.known
    assert torch.isinf(over.within(torch.tensor([0]), low, high / 2)[0]).all()
    assert torch.equal(over.known_within(torch.tensor([0]), low, high / 2), known)
    over.meet((slice(None), slice(0, 2)), torch.tensor([[0.0, torch.nan]]), torch.tensor([[torch.nan, 1.0]]))
    assert over.lower.tolist() == [[0.0, -2.0]]
    assert over.upper.tolist() == [[1.0, 1.0]]


def test_halves_are_those_of_each_axis_and_are_bounded_by_the_lines() -> None:
    over, weight, bias = with_lines(np.random.default_rng(0))
    lows, highs = halves(over.low, over.high, (0, 2))
    below, above = over.of_halves(torch.arange(2), over.low, over.high, (0, 2))
    assert lows.shape == (8, 3)
    for low, high, least, most in zip(lows, highs, below, above, strict=True):
        middle, reach = (low + high).numpy() / 2, (high - low).numpy() / 2
        np.testing.assert_allclose(least, middle @ weight.T + bias - reach @ np.abs(weight).T, atol=1e-9)
        np.testing.assert_allclose(most, middle @ weight.T + bias + reach @ np.abs(weight).T, atol=1e-9)


def test_chunks_are_put_together() -> None:
    x = torch.arange(10.0)
    assert torch.equal(estimated(lambda a, b, c: a + b + c, 2**16, x, x, x), 3 * x)
