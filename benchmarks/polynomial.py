"""Forward and backward of polynomial layers against their recursions line by line, and an MLP of their size."""

from collections.abc import Callable

import torch
from harness import Results, medians, peak_of_torch
from torch import Tensor, nn

from surefoot.models import CCP, NCP

torch.set_num_threads(1)


class NaiveCCP(nn.Module):
    """x_1 = U_1 z; x_n = (U_n z) * x_(n-1) + x_(n-1); y = C x_N + beta, a layer for each U."""

    def __init__(self, inputs: int, outputs: int, degree: int, rank: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(inputs, rank, bias=False) for _ in range(degree))
        self.head = nn.Linear(rank, outputs)

    def forward(self, z: Tensor) -> Tensor:
        x = self.maps[0](z)
        for one in self.maps[1:]:
            x = one(z) * x + x
        return self.head(x)


class NaiveNCP(nn.Module):
    """x_1 = (A_1 z) * (B_1 b_1); x_n = (A_n z) * (S_n x_(n-1) + B_n b_n); y = C x_N + beta, as published."""

    def __init__(self, inputs: int, outputs: int, degree: int, rank: int, width: int = 16) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(inputs, rank, bias=False) for _ in range(degree))
        self.nested = nn.ModuleList(nn.Linear(rank, rank, bias=False) for _ in range(degree - 1))
        self.outer = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in range(degree))
        self.constants = nn.ParameterList(torch.ones(width) for _ in range(degree))
        self.head = nn.Linear(rank, outputs)

    def forward(self, z: Tensor) -> Tensor:
        x = self.maps[0](z) * self.outer[0](self.constants[0])
        for n, inner in enumerate(self.nested, 1):
            x = self.maps[n](z) * (inner(x) + self.outer[n](self.constants[n]))
        return self.head(x)


def mlp(inputs: int, outputs: int, parameters: int) -> nn.Module:
    """Return an MLP of one hidden layer with about so many parameters."""
    hidden = round((parameters - outputs) / (inputs + outputs + 1))
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def both_ways(net: nn.Module, z: Tensor) -> Callable[[], None]:
    """Return one forward and backward pass that leaves nothing behind."""

    def run() -> None:
        net(z).square().mean().backward()
        net.zero_grad(set_to_none=True)

    return run


def main() -> None:
    """Measure."""
    table = Results(
        "Polynomial layers, forward and backward",
        "layer", "batch x inputs, rank, degree", "ms", "time / naive", "time / MLP", "memory / naive", "memory / MLP",
    )  # fmt: skip
    sizes = ((128, 64, 32, 4, 400), (128, 784, 100, 4, 60), (512, 784, 100, 8, 15), (128, 3072, 256, 4, 15))
    for batch, inputs, rank, degree, repeats in sizes:
        z = torch.randn(batch, inputs)
        for name, ours, naive in (
            ("CCP", CCP(inputs, 10, degree, rank), NaiveCCP(inputs, 10, degree, rank)),
            ("NCP", NCP(inputs, 10, degree, rank), NaiveNCP(inputs, 10, degree, rank)),
        ):
            size = sum(p.numel() for p in ours.parameters())
            nets = {"ours": ours, "naive": naive, "mlp": mlp(inputs, 10, size)}
            ways = {key: both_ways(net, z) for key, net in nets.items()}
            time = medians(ways, repeats)
            peak = {key: peak_of_torch(way) for key, way in ways.items()}
            table.add(
                name, f"{batch} x {inputs}, {rank}, {degree}", f"{1e3 * time['ours']:.2f}",
                *(f"{time['ours'] / time[other]:.2f}" for other in ("naive", "mlp")),
                *(f"{peak['ours'] / peak[other]:.2f}" for other in ("naive", "mlp")),
            )  # fmt: skip
    table.write()


if __name__ == "__main__":
    main()
