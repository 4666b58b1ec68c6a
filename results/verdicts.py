"""How often each verdict is said of calibrated models and of slightly wrong ones; write verdicts.md.

python results/verdicts.py --jobs 2
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from focal import processor
from joblib import Parallel, delayed

from simulated_sets import skewed, tempered
from surefoot.core.files import write_text
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    lines = []
    with Parallel(options.jobs) as parallel:
        for n, k in SIZES:
            for temperature in (*TEMPERATURES, None):  # None: accuracy 0.99, calibrated
                share = SETS[temperature in (1.0, None)] // PORTIONS
                said: list[Counter] = list(
                    parallel(delayed(verdicts)(n, k, temperature, share, seed) for seed in range(PORTIONS))
                )
                total = sum(said, Counter())
                cells = [f"{100 * total[verdict] / total.total():.1f}%" for verdict in VERDICTS]
                lines.append(f"| {n:,} | {k} | {_name(temperature)} | " + " | ".join(cells) + " |")
                print(lines[-1], flush=True)
    write_text(Path(__file__).parent / "verdicts.md", page(lines))


def verdicts(n: int, k: int, temperature: float | None, sets: int, seed: int) -> Counter:
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


def page(lines: list[str]) -> str:
    """Write the page."""
    error = 100 * 1.96 * np.sqrt(0.05 * 0.95 / SETS[True])
    text = [
        "# How often each verdict is said",
        f"`python results/verdicts.py`, {SETS[True]} simulated test sets of each calibrated model, {SETS[False]} of "
        f"the others, on {processor()}. Labels are drawn from softmax(z), z normal with standard deviation 2; the "
        "model claims softmax(z / T). The last line of each size is a model that is right 99% of the time. A "
        "calibrated model is said to be over-confident, under-confident or miscalibrated at most 5% of the time: by "
        "one of four tests (ECE, KS, Spiegelhalter's, confidence minus accuracy), corrected for their number by Holm "
        f"(5% is seen as 5 ± {error:.1f}% by chance); *too few rows* is said where the rows leave room for an "
        f"ECE, or a gap between confidence and accuracy, of more than {100 * TELLING:.0f} points.",
        "\n".join(["| rows | classes | model | " + " | ".join(VERDICTS) + " |", "|" + "---|" * 8, *lines]),
    ]
    return "\n\n".join(text) + "\n"


if __name__ == "__main__":
    main()
