"""Focal loss at cross entropy's price, and MMCE without its pairs."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from harness import Results, medians, peak_of_torch

from surefoot.losses import BrierLoss, ByConfidence, CrossEntropy, FocalLoss, WeightedMMCELoss

torch.set_num_threads(1)


def step(loss: Callable, logits: torch.Tensor, target: torch.Tensor) -> Callable[[], None]:
    """Return forward and backward of a loss."""

    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()

    return run


def reference_mmce_w(probs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute the MMCE_w penalty as the focal-calibration code does: all pairs, materialised as (m, n, 2)."""

    def pairs(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.stack([a.unsqueeze(1).repeat(1, len(b)), b.unsqueeze(0).repeat(len(a), 1)], 2)

    def kernel(matrix: torch.Tensor) -> torch.Tensor:
        return torch.exp(-(matrix[:, :, 0] - matrix[:, :, 1]).abs() / 0.4)

    r, predicted = probs.max(1)
    correct = target.gather(1, predicted.unsqueeze(1)).squeeze(1) > 0
    right, wrong = r[correct], r[~correct]
    m, n = len(right), len(wrong)
    error = (kernel(pairs(right, right)) * pairs(1 - right, 1 - right).prod(2)).mean() / (m * m + 1e-5)
    error = error + (kernel(pairs(wrong, wrong)) * pairs(wrong, wrong).prod(2)).mean() / (n * n + 1e-5)
    error = error - 2 * (kernel(pairs(right, wrong)) * pairs(1 - right, wrong).prod(2)).mean() / (m * n + 1e-5)
    return (error + 1e-10).sqrt()


def main() -> None:
    """Measure and write."""
    results = Results(
        "Losses", "shape", "loss", "µs", "ratio to F.cross_entropy", "excess µs", "peak / cross entropy's", "limit"
    )
    losses = {
        "CrossEntropy": CrossEntropy(),
        "FocalLoss(3)": FocalLoss(3.0),
        "FocalLoss(3, one_buffer=True)": FocalLoss(3.0, one_buffer=True),
        "FocalLoss(FLSD-53)": FocalLoss(ByConfidence()),
        "BrierLoss": BrierLoss(),
    }
    for n, k in ((128, 10), (128, 100), (256, 1000), (2048, 1000), (512, 32000)):
        limit = "1.15" if n * k >= 2048 * 1000 else "1.3" if k == 1000 else "+60 µs"
        torch.manual_seed(0)
        logits, target = (4 * torch.randn(n, k)).requires_grad_(), torch.randint(k, (n,))
        peer = step(F.cross_entropy, logits, target)
        base_peak = peak_of_torch(peer)
        for name, loss in losses.items():
            way = step(loss, logits, target)
            base, seconds = medians({"peer": peer, "ours": way}, max(15, min(1000, 200_000_000 // (n * k)))).values()
            asked = limit if "Focal" in name else ""
            ratio, excess = f"{seconds / base:.2f}", f"{1e6 * (seconds - base):+.0f}"
            peak = f"{peak_of_torch(way) / base_peak:.2f}"
            results.add(f"{n} x {k}", name, f"{1e6 * seconds:.0f}", ratio, excess, peak, asked)
    probs = (2 * torch.randn(2048, 10)).softmax(1).requires_grad_()
    onehot = F.one_hot(torch.randint(10, (2048,)), 10).float()
    ours = WeightedMMCELoss(variant="reference").penalty
    times = medians({"pairs": step(reference_mmce_w, probs, onehot), "ours": step(ours, probs, onehot)}, 21)
    for name, label in (("pairs", "MMCE_w, the reference's pair form"), ("ours", "WeightedMMCELoss, the same values")):
        speed = f"{times['pairs'] / times[name]:.0f} times as fast as pairs"
        results.add(
            "2048 x 10", label, f"{1e6 * times[name]:.0f}", speed, "", "", "100 times" if name == "ours" else ""
        )
    results.write()


if __name__ == "__main__":
    main()
