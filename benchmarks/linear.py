"""A loss over a large vocabulary, fused with the linear map before it, against `linear` and `F.cross_entropy`."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from harness import Results, medians, peak_of_torch
from torch import Tensor

from surefoot.losses import CrossEntropy, FocalLoss, LinearLoss

torch.set_num_threads(1)


def step(loss: Callable[[], Tensor], *inputs: Tensor) -> Callable[[], None]:
    """Return one forward and backward pass that leaves nothing behind."""

    def run() -> None:
        loss().backward()
        for x in inputs:
            x.grad = None

    return run


def main() -> None:
    """Measure."""
    table = Results(
        "Losses fused with a linear map, forward and backward, float32",
        "loss", "rows x width x vocabulary", "s", "time / plain", "MB", "memory / plain",
    )  # fmt: skip
    for rows, width, k, repeats in ((1024, 256, 32_000, 5), (512, 512, 128_000, 3)):
        hidden = torch.randn(rows, width, requires_grad=True)
        weight = (torch.randn(k, width) / width**0.5).requires_grad_(True)
        target = torch.randint(k, (rows,))
        ways = {
            "plain": step(lambda: F.cross_entropy(F.linear(hidden, weight), target), hidden, weight),  # noqa: B023
            "cross entropy": step(lambda: LinearLoss(CrossEntropy())(hidden, weight, target), hidden, weight),  # noqa: B023
            "focal, gamma 3": step(lambda: LinearLoss(FocalLoss(3.0))(hidden, weight, target), hidden, weight),  # noqa: B023
        }
        time = medians(ways, repeats)
        peak = {name: peak_of_torch(way) for name, way in ways.items()}
        # the gradient of the weight is what is asked for: it is part of no method's price
        spare = {name: value - 4 * weight.numel() for name, value in peak.items()}
        for name in ways:
            table.add(
                name, f"{rows} x {width} x {k:,}", f"{time[name]:.2f}", f"{time[name] / time['plain']:.2f}",
                f"{spare[name] / 1e6:.0f}", f"{spare[name] / spare['plain']:.2f}",
            )  # fmt: skip
    table.write()


if __name__ == "__main__":
    main()
