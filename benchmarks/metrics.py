"""Calibration metrics against one read of the rows."""

import numpy as np
import torch
from harness import Results, medians, peak_of_numpy

from surefoot.metrics import observe_classwise, observe_confidence, observe_reliability, read_classwise_ece, read_ece

torch.set_num_threads(1)


def main() -> None:
    """Measure and write."""
    results = Results("Metrics", "rows", "what", "ms", "ratio to one read", "peak MB", "limit")
    rng = np.random.default_rng(0)
    n = 10_000_000
    confidence = (1 - 0.7 * rng.random(n) ** 2).astype(np.float32)
    correct = rng.random(n) < confidence
    score, hit = torch.from_numpy(confidence), torch.from_numpy(correct.astype(np.float32))
    ways = {
        "read scores and labels (torch.sum, 80 MB)": lambda: (score.sum(), hit.sum()),
        "top-label ECE": lambda: read_ece(observe_confidence(confidence, correct)),
    }
    report(results, "10,000,000", ways, "15")
    logits = 4 * torch.randn(50_000, 1000)
    table = logits.softmax(1)
    probs, labels = table.numpy(), rng.integers(1000, size=50_000)
    ways = {
        "read probabilities (torch.sum, 200 MB)": table.sum,
        "classwise ECE": lambda: read_classwise_ece(observe_classwise(probs, labels)),
        "top-label ECE from probabilities": lambda: read_ece(observe_reliability(probs, labels)),
    }
    report(results, "50,000 x 1,000", ways, "20")
    results.write()


def report(results: Results, rows: str, ways: dict, limit: str) -> None:
    times = medians(ways, 9)
    base = next(iter(times.values()))
    for i, (name, seconds) in enumerate(times.items()):
        asked = limit if i == 1 else ""
        peak = f"{peak_of_numpy(ways[name]) / 1e6:.1f}"
        results.add(rows, name, f"{1e3 * seconds:.1f}", f"{seconds / base:.1f}", peak, asked)


if __name__ == "__main__":
    main()
