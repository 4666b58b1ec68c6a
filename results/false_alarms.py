"""How often each test of calibration rejects a model that is calibrated, and one that is not; write false_alarms.md.

python results/false_alarms.py --jobs 2
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from focal import processor
from joblib import Parallel, delayed

from surefoot.core.files import write_text
from surefoot.core.numerics import softmax
from surefoot.metrics import METRICS, kernel_test, measure

SETS = 400
SIZES = ((300, 3), (1000, 10), (5000, 10), (2000, 100))
TEMPERATURES = {"calibrated": 1.0, "T = 0.9 off": 0.9}
TESTS = ("KS", "KS, classwise", "Spiegelhalter", "kernel", "ECE above its floor's 95th percentile")


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    heads = ["rows x classes", "model", *TESTS]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for n, k in SIZES:
        for name, temperature in TEMPERATURES.items():
            found = Parallel(options.jobs)(delayed(one_set)(n, k, temperature, seed) for seed in range(SETS))
            shares = np.array(list(found)).mean(0)
            lines.append(f"| {n:,} x {k} | {name} | " + " | ".join(f"{100 * s:.1f}%" for s in shares) + " |")
            print(lines[-1], flush=True)
    error = 100 * 1.96 * np.sqrt(0.05 * 0.95 / SETS)
    text = [
        "# How often the tests of calibration reject",
        f"`python results/false_alarms.py`, {SETS} simulated test sets a line, at a nominal 5%, on {processor()}. "
        f"Labels are drawn from softmax(z), z normal with standard deviation 2; the model claims softmax(z), or "
        f"softmax(z / 0.9) (over-confident). By chance a share of 5% is seen as 5 ± {error:.1f}%.",
        "\n".join(lines),
        "The first line of each size should show 5%: it is the rate of false alarms. The second shows what each test "
        "can see.",
    ]
    write_text(Path(__file__).parent / "false_alarms.md", "\n\n".join(text) + "\n")


def one_set(n: int, k: int, temperature: float, seed: int) -> list[bool]:
    """Draw one test set; return which tests reject it."""
    rng = np.random.default_rng([seed, n, k])
    logits = 2 * rng.normal(size=(n, k))
    labels = (logits + rng.gumbel(size=(n, k))).argmax(1)
    probs = softmax(logits / temperature)
    names = ("ks_pvalue", "ks_classwise_pvalue", "spiegelhalter_pvalue")
    pvalues = [METRICS[m].read(METRICS[m].observe(probs, labels)) for m in names]
    pvalues.append(kernel_test(probs, labels, rows=500, draws=100, seed=seed).pvalue)
    ece = measure([(probs, labels)], [METRICS["ece"]], intervals=False, seed=seed)["ece"]
    return [p <= 0.05 for p in pvalues] + [ece.value > ece.floor_high]


if __name__ == "__main__":
    main()
