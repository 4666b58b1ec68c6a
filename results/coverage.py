"""How often intervals hold what they are intervals for, and how often floors are exceeded; write coverage.md.

python results/coverage.py --jobs 2
python results/coverage.py --differences    # of two models: write coverage_differences.md
"""

import time

import harness
import numpy as np
from joblib import Parallel

from simulated_sets import SETTINGS, exchangeable
from surefoot.core.scored import Scored
from surefoot.evaluate.paired import contrast
from surefoot.metrics import METRICS
from surefoot.metrics.uncertainty import Measuring

SETS = 1000
PORTIONS = 10  # of a cell, each with a seed of its own
SIZES = (20, 50, 200, 1000)
CLASSES = (2, 10)
SHOWN = ("accuracy", "nll", "brier", "ece", "ks", "overconfidence")
LEAST = 0.92
POPULATION_ROWS = 200_000
SHOWN_SETTINGS = (
    "calibrated", "over-confident, T = 0.5", "under-confident, T = 2", "accuracy 0.99, calibrated",
    "accuracy 0.999, calibrated", "half claims 0.99999, 4% of its labels random",
)  # fmt: skip
FLOOR_CELLS = (
    ("calibrated", 50, 2), ("calibrated", 1000, 10), ("accuracy 0.99, calibrated", 1000, 10), ("calibrated", 200, 100),
)  # fmt: skip
FLOORED = ("ece", "ada_ece", "ks", "brier")
PAIRS, PAIR_SIZES, HARD, COMPARED = 300, (50, 100, 200), (None, 0.5, 0.1, 0.03), ("nll", "brier", "ece", "ks")


def main() -> None:
    """Simulate and write."""
    parser = harness.parser(__doc__, jobs=2)
    parser.add_argument(
        "--sets", type=int, default=SETS, help="test sets a cell; coverage.md is written at the default"
    )
    parser.add_argument("--metrics", default=",".join(SHOWN))
    parser.add_argument("--differences", action="store_true", help="of intervals of the difference of two models")
    options = parser.parse_args()
    if options.differences:
        harness.write_page("coverage_differences.md", page_of_differences(options.jobs))
        return
    names = options.metrics.split(",")
    begin = time.process_time()
    rows, seconds = [], 0.0
    with Parallel(options.jobs) as parallel:
        floors = floor_rows(parallel, options.sets // PORTIONS)
        for n in SIZES:
            for k in CLASSES:
                for setting in SHOWN_SETTINGS:
                    cells, spent = row_of(parallel, setting, n, k, names, options.sets)
                    seconds += spent
                    rows.append(cells)
                    print(harness.row(cells), flush=True)
    print(f"{seconds if options.jobs > 1 else time.process_time() - begin:.0f} CPU s")
    if options.sets == SETS and names == list(SHOWN):
        harness.write_page("coverage.md", page(names, rows, floors))


def row_of(parallel: Parallel, setting: str, n: int, k: int, names: list[str], sets: int) -> tuple[list[str], float]:
    """Simulate test sets of one kind; return their row of the table and the CPU seconds they took."""
    portions = harness.spread(parallel, portion, [(setting, n, k, names, sets // PORTIONS, i) for i in range(PORTIONS)])
    readings = np.concatenate([p[0] for p in portions])  # sets, metrics, (value, low, high)
    targets = population(setting, k)
    cells = [covered(readings[:, j], targets.get(name)) for j, name in enumerate(names)]
    return [f"{n:,}", str(k), setting, *cells], sum(p[1] for p in portions)


def portion(setting: str, n: int, k: int, names: list[str], sets: int, seed: int) -> tuple[np.ndarray, float]:
    """Measure test sets; return value and ends of the interval of each metric, and the CPU seconds it took."""
    begin = time.process_time()
    rng = np.random.default_rng([seed, n, k, list(SETTINGS).index(setting)])
    found = []
    for number in range(sets):
        simulated = SETTINGS[setting](rng, n, k)
        state = Measuring([METRICS[name] for name in names], floors=False, seed=number)
        state.add(simulated.claimed, simulated.labels(rng))
        readings = state.readings()
        found.append([(readings[name].value, readings[name].low, readings[name].high) for name in names])
    return np.array(found), time.process_time() - begin


def population(setting: str, k: int) -> dict[str, float]:
    """Compute the targets of the readings that are means over rows, exactly but for the rows drawn."""
    return SETTINGS[setting](np.random.default_rng(k), POPULATION_ROWS, k).means()


def covered(readings: np.ndarray, target: float | None) -> str:
    """Say how often the interval holds its target, and how wide it is beside the range of 95% of the values."""
    value, low, high = readings.T
    told = np.isfinite(low)
    if not told.any():
        return "too few rows"
    target = float(np.nanmean(value)) if target is None else target
    share = ((low <= target) & (target <= high))[told].mean()
    spread = np.subtract(*np.nanquantile(value, [0.975, 0.025]))
    width = f"{(high - low)[told].mean() / spread:.1f}" if spread > 0 else "–"
    untold = "" if told.all() else f", none {100 * (1 - told.mean()):.0f}%"
    text = f"{100 * share:.1f}% ({width}{untold})"
    return text if share >= LEAST else f"**{text}**"


def floor_rows(parallel: Parallel, sets: int) -> list[list[str]]:
    """Simulate calibrated models; return, a row each, how often their readings lie above `floor_high`."""
    rows = []
    for setting, n, k in FLOOR_CELLS:
        portions = harness.spread(parallel, above_floor, [(setting, n, k, sets, i) for i in range(PORTIONS)])
        shares = np.concatenate(portions).mean(0)
        rows.append([f"{n:,}", str(k), setting, *(f"{100 * s:.1f}%" for s in shares)])
        print(harness.row(rows[-1]), flush=True)
    return rows


def above_floor(setting: str, n: int, k: int, sets: int, seed: int) -> np.ndarray:
    """Return whether each reading of test sets of a calibrated model lies above its floor's 95th percentile."""
    rng = np.random.default_rng([seed, n, k, list(SETTINGS).index(setting), 1])
    found = []
    for number in range(sets):
        simulated = SETTINGS[setting](rng, n, k)
        state = Measuring([METRICS[name] for name in FLOORED], intervals=False, seed=number)
        state.add(simulated.claimed, simulated.labels(rng))
        found.append([r.value > r.floor_high for r in state.readings().values()])
    return np.array(found)


def page_of_differences(jobs: int) -> list[str]:
    """Compare pairs of models that are as good; return the page."""
    cells = [(n, hard) for n in PAIR_SIZES for hard in HARD]
    heads = ("rows", "hard", *(METRICS[name].title for name in COMPARED))
    with Parallel(jobs) as parallel:
        found = harness.spread(parallel, missed_differences, cells)
    rows = [
        (
            n,
            "all" if hard is None else f"{100 * hard:.0f}%",
            *(f"{100 * m:.1f}% ({100 * b:.1f}%)" for m, b in zip(missed, better, strict=True)),
        )
        for (n, hard), (missed, better) in zip(cells, found, strict=True)
    ]
    return [
        "# How often `contrast` is wrong of two models that are as good",
        f"`python results/coverage.py --differences`, {PAIRS} pairs of models a line, three classes, on "
        f"{harness.processor()}. Both have the true logits with noise of their own, so the true difference is 0. How "
        "often the 95% interval leaves it out; in brackets, how often one of the two is called better. By chance 5% is "
        f"seen as 5 ± {100 * 1.96 * np.sqrt(0.05 * 0.95 / PAIRS):.1f}%. Hard rows are those that are answered wrongly "
        "at all.",
        harness.table(heads, rows),
    ]


def missed_differences(n: int, hard: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return how often intervals leave 0 out, and how often a model is called better, for each metric."""
    rng, met = np.random.default_rng([n, int(100 * (hard or 0))]), []
    for _ in range(PAIRS):
        a, b, labels = exchangeable(rng, n, 3, hard)
        tables = {"a": Scored.of_logits(a), "b": Scored.of_logits(b)}
        found = contrast(tables, labels, [METRICS[name] for name in COMPARED])
        met.append([[not c.low <= 0 <= c.high for c in found], [c.better is not None for c in found]])
    missed, better = np.mean(met, 0)
    print(n, hard, missed, better, flush=True)
    return missed, better


def page(names: list[str], rows: list[list[str]], floors: list[list[str]]) -> list[str]:
    """Write the page."""
    heads, floor_heads = (("rows", "classes", "model", *(METRICS[m].title for m in some)) for some in (names, FLOORED))
    error = [100 * 1.96 * np.sqrt(p * (1 - p) / m) for p, m in ((0.95, SETS), (0.05, SETS))]
    return [
        "# How often the intervals hold what they are for",
        f"`python results/coverage.py`, {SETS:,} simulated test sets a line, on {harness.processor()}. The 95% "
        "interval of a reading is one for its mean over fresh test sets of the same size by the same model. For "
        "accuracy, NLL, Brier score and confidence minus accuracy that is their value in the population; for ECE and "
        "KS error, which chance raises, it is what such test sets show on average. In brackets: the mean width of the "
        "interval, where 1 is the width of the range into which 95% of the readings fall. By chance 95% is seen as "
        f"95 ± {error[0]:.1f}%; bold: below {100 * LEAST:.0f}%. Laws: `tests/simulated_sets.py`.",
        harness.table(heads, rows),
        "Where errors are rare the interval is wide and covers too often: it must hold for models that err as seldom "
        "as the rows can tell, not only for the one that was simulated.",
        "# How often a calibrated model is above the floor's 95th percentile",
        f"{SETS:,} simulated test sets a line. 5% is right (by chance it is seen as 5 ± {error[1]:.1f}%); a "
        "reading that takes few values is above it less often.",
        harness.table(floor_heads, floors),
    ]


if __name__ == "__main__":
    main()
