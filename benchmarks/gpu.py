"""The losses' kernels on a GPU, against eager cross entropy and against what copying costs. Needs a GPU."""

import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from harness import Results, medians

from surefoot.losses import CrossEntropy, FocalLoss

PASSES = 3  # over the table, forward and backward: read, read, write


def finished(way: Callable[[], object]) -> Callable[[], None]:
    """Wait for the GPU after each run."""

    def run() -> None:
        way()
        torch.cuda.synchronize()

    return run


def main() -> None:
    """Measure and write."""
    if not torch.cuda.is_available():
        sys.exit("no GPU here: nothing measured")
    results = Results("Gpu", "shape", "loss", "µs", "ratio to F.cross_entropy", "limit", "share of a copy's speed")
    for n, k, dtype in ((4096, 128_256, torch.bfloat16), (512, 32_000, torch.float32), (2048, 1000, torch.float32)):
        logits = torch.randn(n, k, device="cuda", dtype=dtype, requires_grad=True)
        target, other = torch.randint(k, (n,), device="cuda"), torch.empty_like(logits)
        ways: dict[str, Callable[[], object]] = {"copy": lambda z=logits, o=other: o.copy_(z.detach())}
        for name, loss in (
            ("peer", F.cross_entropy), ("CrossEntropy", CrossEntropy()), ("FocalLoss(3)", FocalLoss(3.0)),
        ):  # fmt: skip
            ways[name] = lambda f=loss, z=logits, y=target: torch.autograd.grad(f(z, y), z)
        times = medians({name: finished(way) for name, way in ways.items()}, 51)
        for name in ("CrossEntropy", "FocalLoss(3)"):
            share = PASSES / 2 * times["copy"] / times[name]
            ratio = f"{times[name] / times['peer']:.2f}"
            results.add(f"{n} x {k} {dtype}", name, f"{1e6 * times[name]:.0f}", ratio, "0.6", f"{share:.0%}")
    results.write()


if __name__ == "__main__":
    main()
