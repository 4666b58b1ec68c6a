"""How often each verdict is said of calibrated models and of slightly wrong ones; write verdicts.md.

python results/verdicts.py --jobs 2
"""

from collections import Counter

import harness
import numpy as np
from joblib import Parallel

from simulated_sets import skewed, tempered
from surefoot.evaluate.diagnosis import TELLING, direction
from surefoot.evaluate.evaluation import Measured, curve_of
from surefoot.metrics import METRICS, measure

SETS = {True: 200, False: 40}  # of a calibrated model, and of another
PORTIONS = 10
SIZES = ((50, 2), (50, 10), (200, 2), (200, 10), (1000, 2), (1000, 10), (1000, 100), (5000, 10))
TEMPERATURES = (1.0, 0.95, 0.9, 0.8, 1.1, 1.25)
VERDICTS = ("indistinguishable", "too few rows", "over-confident", "under-confident", "miscalibrated")
READ = ("ece", "ks", "ks_pvalue", "overconfidence", "spiegelhalter_pvalue")


def main() -> None:
    """Simulate and write."""
    options = harness.parser(__doc__, jobs=2).parse_args()
    rows = []
    with Parallel(options.jobs) as parallel:
        for n, k in SIZES:
            for temperature in (*TEMPERATURES, None):  # None: accuracy 0.99, calibrated
                share = SETS[temperature in (1.0, None)] // PORTIONS
                cases = [(n, k, temperature, share, seed) for seed in range(PORTIONS)]
                said = harness.spread(parallel, verdicts, cases)
                total = sum(said, Counter())
                shares = [f"{100 * total[verdict] / total.total():.1f}%" for verdict in VERDICTS]
                rows.append([f"{n:,}", str(k), _name(temperature), *shares])
                print(harness.row(rows[-1]), flush=True)
    harness.write_page("verdicts.md", page(rows))


def verdicts(n: int, k: int, temperature: float | None, sets: int, seed: int) -> Counter[str]:
    """Count the verdicts on test sets of one law."""
    rng = np.random.default_rng([seed, n, k, 0 if temperature is None else round(100 * temperature)])
    said: Counter[str] = Counter()
    for number in range(sets):
        simulated = skewed(rng, n, k, 0.01) if temperature is None else tempered(rng, n, k, temperature)
        batch = (simulated.claimed, simulated.labels(rng))
        readings = measure([batch], [METRICS[name] for name in READ], seed=number)
        said[direction(Measured(n, k, readings, curve_of(METRICS["ece"].observe(*batch))))] += 1
    return said


def _name(temperature: float | None) -> str:
    if temperature is None:
        return "accuracy 0.99, calibrated"
    return (
        "calibrated" if temperature == 1 else f"T = {temperature:g}, {'over' if temperature < 1 else 'under'}-confident"
    )


def page(rows: list[list[str]]) -> list[str]:
    """Write the page."""
    error = 100 * 1.96 * np.sqrt(0.05 * 0.95 / SETS[True])
    return [
        "# How often each verdict is said",
        f"`python results/verdicts.py`, {SETS[True]} simulated test sets of each calibrated model, {SETS[False]} of "
        f"the others, on {harness.processor()}. Labels are drawn from softmax(z), z normal with standard deviation 2; "
        "the model claims softmax(z / T). The last line of each size is a model that is right 99% of the time. A "
        "calibrated model is said to be over-confident, under-confident or miscalibrated at most 5% of the time: by "
        "one of four tests (ECE, KS, Spiegelhalter's, confidence minus accuracy), corrected for their number by Holm "
        f"(5% is seen as 5 ± {error:.1f}% by chance); *too few rows* is said where the rows leave room for an "
        f"ECE, or a gap between confidence and accuracy, of more than {100 * TELLING:.0f} points.",
        harness.table(["rows", "classes", "model", *VERDICTS], rows),
    ]


if __name__ == "__main__":
    main()
