"""Windows of images: whatever is done to them, written out they are what is done to whole images."""

import pytest
import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.graph.ops import Conv2d, MaxPool2d, Shape
from surefoot.sets.patches import Patches


class Draw:
    """Random sizes and numbers."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def sizes(self, low: int, high: int, count: int) -> list[int]:
        return [int(v) for v in torch.randint(low, high, (count,), generator=self.generator)]

    def numbers(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def share(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator)


def convolved(draw: Draw, patches: Patches, dense: Tensor) -> tuple[Patches, Tensor]:
    height, width = draw.sizes(1, 4, 2)
    left, right, top, bottom = draw.sizes(0, 3, 4)
    down, across = draw.sizes(1, 3, 2)
    weight = draw.numbers(3, patches.shape[0], height, width)
    op = Conv2d(weight, None, (1, 1), (left, right, top, bottom), (down, across))
    shape = op.shape(patches.shape)
    return patches.convolved(op.weight, op.padding, op.dilation, op.groups, shape), op.linear(dense)


def pooled(draw: Draw, patches: Patches, dense: Tensor) -> tuple[Patches, Tensor]:
    left, right, top, bottom = draw.sizes(0, 2, 4)
    (height, width), (down, across), (rows, columns) = draw.sizes(1, 4, 2), draw.sizes(1, 4, 2), draw.sizes(1, 3, 2)
    op = MaxPool2d((height, width), (down, across), (left, right, top, bottom), (rows, columns))
    shape: Shape = op.shape(patches.shape)
    windows = op.windows(patches.shape)
    which = draw.share(windows.numel()).reshape(windows.shape).masked_fill(windows < 0, -1).argmax(1)
    winner, keep = windows[torch.arange(len(windows)), which], draw.share(len(windows)) < 0.8
    out = patches.pooled(op.kernel, op.stride, op.padding, op.dilation, winner, keep, shape)
    return out, torch.where(keep, dense.flatten(1)[:, winner], 0.0).reshape(-1, *shape)


@pytest.mark.parametrize("seed", range(60))
def test_windows_are_what_they_are_written_out(seed: int) -> None:
    draw = Draw(seed)
    channels, height, width = draw.sizes(1, 6, 1)[0], draw.sizes(4, 10, 1)[0], draw.sizes(4, 10, 1)[0]
    shape = (channels, height, width)
    places = torch.tensor(draw.sizes(0, channels * height * width, 4))
    sizes = draw.numbers(4)
    patches = Patches.of_units(places, sizes, shape)
    dense = torch.zeros(4, channels * height * width, dtype=torch.float64)
    dense[torch.arange(4), places] = sizes
    dense = dense.reshape(4, *shape)
    for move in (convolved, pooled, convolved, convolved) if seed % 2 else (convolved, convolved, pooled, convolved):
        try:
            patches, dense = move(draw, patches, dense)
        except InputError:  # a kernel that does not fit
            continue
        torch.testing.assert_close(patches.dense(), dense)
        factor = draw.numbers(*patches.shape)
        patches, dense = patches.scaled(factor), dense * factor
        which = torch.tensor(draw.sizes(0, dense[0].numel(), 7))
        torch.testing.assert_close(patches.columns(which), dense.flatten(1)[:, which].T)
        weights = draw.numbers(4)
        for absolute in (False, True):
            total = torch.zeros(dense[0].numel(), dtype=torch.float64)
            patches.added(total, weights, absolute)
            values = dense.abs() if absolute else dense
            torch.testing.assert_close(total, (values * weights.reshape(-1, 1, 1, 1)).sum(0).flatten())
        torch.testing.assert_close(Patches.joined([patches.part(0, 3), patches.part(3, 4)]).dense(), dense)
        keep = torch.tensor([True, False, True, False])
        torch.testing.assert_close(patches.pick(keep).dense(), dense[keep])
        assert len(patches) == 4
        assert patches.share > 0
