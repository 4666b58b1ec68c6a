"""How often each test of calibration rejects a model that is calibrated, and one that is not; write false_alarms.md.

python results/false_alarms.py --jobs 2
"""

import harness
import numpy as np
from joblib import Parallel

from surefoot.core.numerics import softmax
from surefoot.metrics import METRICS, kernel_test, measure

SETS = 400
SIZES = ((300, 3), (1000, 10), (5000, 10), (2000, 100))
TEMPERATURES = {"calibrated": 1.0, "T = 0.9 off": 0.9}
TESTS = ("KS", "KS, classwise", "Spiegelhalter", "kernel", "ECE above its floor's 95th percentile")


def main() -> None:
    """Simulate and write."""
    options = harness.parser(__doc__, jobs=2).parse_args()
    rows = []
    for n, k in SIZES:
        for name, temperature in TEMPERATURES.items():
            cases = [(n, k, temperature, seed) for seed in range(SETS)]
            shares = np.mean(harness.spread(Parallel(options.jobs), one_set, cases), 0)
            rows.append([f"{n:,} x {k}", name, *(f"{100 * s:.1f}%" for s in shares)])
            print(harness.row(rows[-1]), flush=True)
    error = 100 * 1.96 * np.sqrt(0.05 * 0.95 / SETS)
    parts = [
        "# How often the tests of calibration reject",
        f"`python results/false_alarms.py`, {SETS} simulated test sets a line, at a nominal 5%, on "
        f"{harness.processor()}. Labels are drawn from softmax(z), z normal with standard deviation 2; the model "
        f"claims softmax(z), or softmax(z / 0.9) (over-confident). By chance a share of 5% is seen as "
        f"5 ± {error:.1f}%.",
        harness.table(["rows x classes", "model", *TESTS], rows),
        "The first line of each size should show 5%: it is the rate of false alarms. The second shows what each test "
        "can see.",
    ]
    harness.write_page("false_alarms.md", parts)


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
