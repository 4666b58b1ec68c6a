"""Fit every calibrator on half of each real table, measure it on the other, twenty times; write recalibration.md.

    python results/recalibration.py --data ../shared/data --jobs 2

A table that is done is kept in --runs, so that a stopped run goes on.
"""

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import harness
import numpy as np
from joblib import Parallel
from rich.progress import track

from surefoot.core.errors import InputError
from surefoot.core.files import read_json, write_json
from surefoot.core.tables import load_predictions
from surefoot.metrics import METRICS
from surefoot.metrics.uncertainty import draw_labels
from surefoot.recalibrate import CALIBRATORS

SPLITS = 20
FLOOR_DRAWS = 20
COLUMNS = ("nll", "brier", "ece", "ks", "ks_pvalue", "classwise_ece")
TITLES = ("NLL", "Brier", "ECE % (floor)", "KS % (share p < 5%)", "cwECE %")


def main() -> None:
    """Read arguments, measure what is missing, write the page."""
    parser = harness.parser(__doc__, jobs=2)
    parser.add_argument("--data", type=Path, required=True, help="folder with logits/")
    parser.add_argument("--runs", type=Path, default=Path("runs/results/recalibration"))
    options = parser.parse_args()
    tables = [p for p in sorted((options.data / "logits").glob("*.npz")) if not p.name.startswith("top1_")]
    for path in track(tables, "tables"):
        kept = options.runs / f"{path.stem}.json"
        if kept.exists():
            continue
        start = time.perf_counter()
        splits = harness.spread(Parallel(options.jobs), one_split, [(path, seed) for seed in range(SPLITS)])
        about = load_predictions(path)
        record = {"n": about.n, "k": about.k, "seconds": time.perf_counter() - start, "splits": splits}
        write_json(kept, record)
    found = {path.stem: read_json(options.runs / f"{path.stem}.json") for path in tables}
    harness.write_page("recalibration.md", page(found, options.jobs))


def one_split(path: Path, seed: int) -> dict[str, dict]:
    """Measure every calibrator on one random half, learnt on the other; None where a calibrator refuses so few rows."""
    table = load_predictions(path)
    order = np.random.default_rng(seed).permutation(table.n)
    fitted, judged = table.rows(order[: table.n // 2]), table.rows(order[table.n // 2 :])
    found = {}
    for name, make in CALIBRATORS.items():
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                calibrator = make().fit(fitted.logits(), fitted.labels)
                probs = calibrator.predict_proba(judged.logits())
        except InputError as error:
            found[name] = {"refused": str(error)}
            continue
        seconds = time.process_time() - start
        found[name] = {c: METRICS[c].read(METRICS[c].observe(probs, judged.labels)) for c in COLUMNS}
        observe, read = METRICS["ece"].observe, METRICS["ece"].read
        drawn = draw_labels(probs, seed, FLOOR_DRAWS)
        found[name]["floor"] = float(np.mean([read(observe(probs, labels)) for labels in drawn]))
        found[name]["seconds"] = seconds
        if name == "auto":
            found[name]["chose"] = calibrator.method_  # pyright: ignore[reportAttributeAccessIssue]
    return found


def column(splits: Sequence[dict], name: str, what: str) -> np.ndarray:
    """Return a column of a calibrator over the splits."""
    return np.array([s[name][what] for s in splits])


def page(found: dict[str, dict], jobs: int) -> list[str]:
    """Write it all down."""
    minutes = sum(record["seconds"] for record in found.values()) / 60
    parts = [
        "# Every calibrator on every real table",
        f"`python results/recalibration.py --data ../shared/data`: {len(found)} tables of real models' outputs, "
        f"{SPLITS} random divisions of each into a half to learn on and a half to measure, the same for all; "
        f"{jobs} process(es) on {harness.processor()}, {minutes:.0f} minutes by the clock.",
        "A number is the mean over the divisions; the floor is the mean ECE of a perfectly calibrated model with the "
        "same probabilities; the share is of divisions in which the KS test rejects at 5% (calibrated: about 5%). "
        "Divisions of one table overlap: their scatter understates the uncertainty of the table itself.",
        "## Over all tables",
        summary(found),
    ]
    for name, record in found.items():
        parts += [f"## {name}", f"{record['n']:,} rows, {record['k']} classes.", section(record["splits"])]
    return parts


def summary(found: dict[str, dict]) -> str:
    """Compare each calibrator with the temperature, and with doing nothing, over the tables."""
    heads = (
        "map", "NLL against none", "NLL against temperature", "tables: better / worse than temperature",
        "ECE over floor, points", "KS rejects", "s a fit",
    )  # fmt: skip
    rows = []
    for name in CALIBRATORS:
        records = [r["splits"] for r in found.values() if all("refused" not in s[name] for s in r["splits"])]
        nll = [column(s, name, "nll").mean() for s in records]
        none = [column(s, "none", "nll").mean() for s in records]
        gaps = [column(s, name, "nll") - column(s, "temperature", "nll") for s in records]
        told = [gap.mean() / max(gap.std(ddof=1), 1e-12) for gap in gaps]  # one deviation of the divisions
        better, worse = sum(t < -1 for t in told), sum(t > 1 for t in told)
        over = [(column(s, name, "ece") - column(s, name, "floor")).mean() for s in records]
        rejects = [(column(s, name, "ks_pvalue") < 0.05).mean() for s in records]
        seconds = [column(s, name, "seconds").mean() for s in records]
        rows.append((
            name, f"{np.mean(np.array(nll) - none):+.4f}", f"{np.mean([g.mean() for g in gaps]):+.4f}",
            f"{better} / {worse}", f"{100 * np.mean(over):+.2f}", f"{100 * np.mean(rejects):.0f}%",
            f"{np.mean(seconds):.3f}",
        ))  # fmt: skip
    chose = [s["auto"]["chose"] for r in found.values() for s in r["splits"]]
    counts = ", ".join(f"{name} {n}" for name, n in Counter(chose).most_common())
    note = (
        "Better or worse: the mean difference is more than one standard deviation of the divisions away from nothing. "
        f"`auto` chose, over all divisions: {counts}."
    )
    return "\n\n".join([harness.table(heads, rows), note])


def section(splits: Sequence[dict]) -> str:
    """Lay one table out."""
    rows = []
    for name in CALIBRATORS:
        if "refused" in splits[0][name]:
            rows.append([name, "refused: too few rows", *[""] * (len(TITLES) - 1)])
            continue
        mean = {c: column(splits, name, c).mean() for c in (*COLUMNS, "floor")}
        rejects = (column(splits, name, "ks_pvalue") < 0.05).mean()
        rows.append((
            name, f"{mean['nll']:.4f}", f"{mean['brier']:.4f}",
            f"{100 * mean['ece']:.2f} ({100 * mean['floor']:.2f})",
            f"{100 * mean['ks']:.2f} ({100 * rejects:.0f}%)", f"{100 * mean['classwise_ece']:.3f}",
        ))  # fmt: skip
    return harness.table(["calibrator", *TITLES], rows)


if __name__ == "__main__":
    main()
