"""Tables that arithmetic loses: huge and tiny margins, masks written in five ways, stored zeros, no error at all.
NLL, the order of confidences, T and what fits do to their own rows are judged at 50 digits and by SciPy.

Kinds, in turn: `margins` (readings of a file against mpmath, with and without a calibrator), `masks` (every calibrator
and reading is the same whatever stands for an absent class), `worse` (no likelihood fit raises the NLL of its own
rows), `zeros` (one floor in measure and in calibrators, also for a part), `certain` (no error among the rows that are
learnt on), `alone` (most rows have one class left: T is SciPy's, whatever stands for the others), `behind` (a
calibrator of probabilities is the same behind logits with any offset), `again` (what `recalibrate --predictions` writes
reads as the calibrator promised).
"""

import contextlib
import io
import tempfile
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
from scipy.optimize import OptimizeResult, minimize_scalar
from scipy.special import logsumexp

from fuzz import Attack
from surefoot.cli.recalibrate import command as recalibrate
from surefoot.core.checks import are_distributions, holds_fractions
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions
from surefoot.evaluate.measuring import MeasurementPlan, measure_table
from surefoot.metrics import METRICS
from surefoot.recalibrate import CALIBRATORS, TemperatureScaling, load_calibrator, save_calibrator
from surefoot.recalibrate.steps import name_of

CASES = 2000
BEFORE = "1,163 of 2,000 tables wrong: stored zeros, no error, masks, own rows, margins, in that order"
MASKS = (-1e9, -65504.0, float(np.finfo(np.float32).min), -np.inf, -1e4)
SPLINES = [name for name in CALIBRATORS if "spline" in name]
# Those that minimise the NLL of all classes and can do nothing: the others minimise something else, or undo a loss.
LIKELIHOOD = [
    "none",
    "temperature",
    "temperature-grid-nll",
    "temperature-ensemble",
    "temperature-parameterized",
    "vector",
    "matrix",
    "dirichlet",
    "structured",
    "auto",
]
MIXING = {"matrix", "dirichlet", "structured", "temperature-parameterized"}
FITTED = [name for name in CALIBRATORS if name not in ("none", "focal-undo", *SPLINES)]


def attack(seed: int, count: int) -> Attack:
    """Try so many tables."""
    total = Attack()
    kinds = (margins, masks, worse, zeros, certain, alone, behind, again)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        for i in range(count):
            rng = np.random.default_rng([seed, i])
            kind = kinds[i % len(kinds)]
            where = f"seed {seed} case {i}, {kind.__name__}"
            try:
                faults = kind(rng, Path(folder))
            except Exception as error:  # an error where an answer is due
                faults = [f"{type(error).__name__}: {error}"]
            total.tried += 1
            total.outcomes["wrong" if faults else "right"] += 1
            total.faults += [f"{where}: {fault}" for fault in faults]
    return total


def table(rng: np.random.Generator, dtypes: tuple = (np.float16, np.float32, np.float64)) -> tuple:
    """Draw logits (n, k) of some scale and type, and labels that follow them more or less."""
    n, k = int(rng.choice([1, 2, 5, 30, 120])), int(rng.choice([2, 3, 10]))
    logits = rng.normal(size=(n, k)) * 10.0 ** rng.choice([-6, -1, 0, 0, 1, 3])
    if rng.random() < 0.3:
        logits[rng.integers(n)] *= 10.0 ** rng.integers(0, 5)
    if rng.random() < 0.2:
        logits = np.round(logits)  # ties
    logits = np.clip(logits, -6e4, 6e4).astype(rng.choice(np.array(dtypes)))
    if are_distributions(logits) and holds_fractions(logits):  # such as a row (0.5, 0.5): refused as logits, by design
        return table(rng, dtypes)
    noise = rng.gumbel(size=(n, k)) * rng.choice([0.3, 1.0, 3.0])
    labels = (logits * rng.choice([0.3, 1.0]) + noise).argmax(1)
    if rng.random() < 0.2:
        labels = np.where(labels == k - 1, 0, labels)  # a class that never occurs
    return logits, labels


def surprise(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute -log p_y of each row in float64."""
    wide = logits.astype(np.float64)
    wide = wide - wide.max(1, keepdims=True)
    return logsumexp(wide, 1) - wide[np.arange(len(labels)), labels]


def exact(logits: np.ndarray, labels: np.ndarray, scale: float = 1.0) -> tuple[list, list]:
    """Compute -log p_y, and the complement of the confidence, of each row, at 50 digits."""
    losses, complements = [], []
    with mpmath.workdps(50):
        for row, y in zip(logits.astype(np.float64), labels, strict=True):
            z = [mpmath.mpf(float(v)) * scale for v in row if np.isfinite(v)]
            top = max(z)
            total = mpmath.fsum(mpmath.exp(v - top) for v in z)
            losses.append(top + mpmath.log(total) - mpmath.mpf(float(row[y])) * scale)
            complements.append(1 - 1 / total if total < mpmath.mpf("1e30") else mpmath.mpf(1))
            if total - 1 < mpmath.mpf("1e-30"):  # beyond 50 digits: the sum of the others itself
                others = sorted(z)[:-1]
                complements[-1] = mpmath.fsum(mpmath.exp(v - top) for v in others)
    return losses, complements


def auroc(complements: list, correct: np.ndarray) -> float | None:
    """Compute the chance that a right row is the more confident; None where rows almost tie."""
    order = sorted(complements)
    if any(a != b and b - a <= a * mpmath.mpf("1e-9") for a, b in pairwise(order)):
        return None
    right, wrong = (
        [c for c, h in zip(complements, correct, strict=True) if h == is_right] for is_right in (True, False)
    )
    if not right or not wrong:
        return None
    won = sum((a < b) + (a == b) / 2 for a in right for b in wrong)
    return float(won) / (len(right) * len(wrong))


def same(a: float, b: float, relative: float = 1e-6, absolute: float = 1e-9) -> bool:
    """Whether two numbers are the same, to rounding; NaN is NaN."""
    return bool((np.isnan(a) and np.isnan(b)) or abs(a - b) <= absolute + relative * abs(b))


def readings(path: Path, names: tuple[str, ...], **more: object) -> dict:
    """Measure a file; the readings of each group."""
    plan = MeasurementPlan(tuple(METRICS[name] for name in names), intervals=False, floors=False)
    groups = measure_table(path, replace(plan, **more))
    return {group: {name: r.value for name, r in found.readings.items()} for group, found in groups.items()}


def margins(rng: np.random.Generator, folder: Path) -> list[str]:
    """Measure a table as it is and after a temperature, against 50 digits."""
    logits, labels = table(rng)
    path, faults = folder / "t.npz", []
    save_predictions(Predictions(logits, "logits", labels), path)
    fitted = TemperatureScaling().fit(logits, labels)
    save_calibrator(fitted, folder / "map.json")
    correct = logits.argmax(1) == labels
    for name, scale, calibrator in (
        ("as it is", 1.0, None),
        ("after T", 1 / fitted.temperature_, load_calibrator(folder / "map.json")),
    ):
        found = readings(path, ("nll", "auroc", "ks", "ada_ece"), calibrator=calibrator)[""]
        losses, complements = exact(logits, labels, scale)
        want = float(mpmath.fsum(losses) / len(losses))
        if not same(found["nll"], want, 1e-9, 1e-12):
            faults.append(f"NLL {name} {found['nll']!r}, right {want!r}")
        ranked = auroc(complements, correct)
        if ranked is not None and not same(found["auroc"], ranked):
            faults.append(f"AUROC {name} {found['auroc']!r}, right {ranked!r}")
    faults += _is_best(logits, labels, fitted.temperature_)
    return faults


def _is_best(logits: np.ndarray, labels: np.ndarray, temperature: float) -> list[str]:
    """Compare a temperature with SciPy's, where rows bound it from both sides: some wrong, the rest right."""
    wide = logits.astype(np.float64)
    own = wide[np.arange(len(labels)), labels]
    wrong = (own < wide.max(1)).sum()
    nll = lambda t: float(surprise(wide / np.exp(t), labels).mean())  # noqa: E731
    best = minimize_scalar(nll, bounds=(-20, 20), method="bounded", options={"xatol": 1e-10})
    assert isinstance(best, OptimizeResult)
    if wrong < 20 or not -10 < best.x < 10:
        return []
    excess = nll(np.log(temperature)) - float(best.fun)
    right = f"{np.exp(best.x):.6g}"
    return [f"T {temperature:.6g}, right {right}: NLL {excess:.1e} above"] if excess > 1e-8 else []


def masks(rng: np.random.Generator, folder: Path) -> list[str]:
    """Write an absent class in five ways: every calibrator and reading is the same."""
    n, k = int(rng.choice([12, 60, 250])), int(rng.choice([3, 5]))
    base = rng.normal(size=(n, k)) * rng.choice([1.0, 3.0])
    absent = rng.random((n, k)) < rng.choice([0.1, 0.4])
    if rng.random() < 0.5:
        absent = np.zeros((n, k), dtype=bool)
        absent[:, rng.integers(k)] = rng.random(n) < rng.choice([0.5, 1.0])
    absent &= (absent.sum(1) <= k - 2)[:, None]  # one class alone: how sure it is depends on what is written
    truth = np.where(absent, -np.inf, base) * rng.choice([0.5, 1.0])
    labels = (truth + rng.gumbel(size=(n, k))).argmax(1)
    dtype = rng.choice(np.array([np.float32, np.float64]))
    encodings = [np.where(absent, mask, base).astype(dtype) for mask in MASKS]
    faults = []
    found = []
    for z in encodings:
        save_predictions(Predictions(z, "logits", labels), folder / "t.npz")
        found.append(readings(folder / "t.npz", tuple(METRICS))[""])
    for mask, other in zip(MASKS[1:], found[1:], strict=True):
        faults += [
            f"{m} {other[m]!r} for {mask:g}, {found[0][m]!r} for -1e9" for m in other if not same(other[m], found[0][m])
        ]
    scipy = minimize_scalar(
        lambda t: float(surprise(encodings[0] / np.exp(t), labels).mean()), bounds=(-5, 5), method="bounded"
    )
    assert isinstance(scipy, OptimizeResult)
    temperature = float(TemperatureScaling().fit(encodings[0], labels).temperature_)
    wrong = (base[np.arange(n), labels] < np.where(absent, -np.inf, base).max(1)).sum()
    if wrong >= 20 and not same(np.log(temperature), float(scipy.x), 0, 1e-3):
        faults.append(f"T {temperature!r}, right {np.exp(scipy.x)!r}")
    if temperature > 50:  # where labels tell next to nothing, -65504 is within reach
        return faults
    for name in rng.choice(np.array([*FITTED, "focal-undo"]), 4, replace=False):
        faults += _same_maps(str(name), encodings[:4], labels)
    return faults


def _same_maps(name: str, encodings: list[np.ndarray], labels: np.ndarray) -> list[str]:
    faults, outcomes = [], []
    for z in encodings:
        try:
            made = CALIBRATORS[name]().fit(z, labels)
            outcomes.append((made.predict_proba(z), getattr(made, "temperature_", 1.0)))
        except InputError as error:
            outcomes.append(str(error))
    for mask, outcome in zip(MASKS, outcomes, strict=False):
        if isinstance(outcome, str):
            if name not in MIXING or "absent" not in outcome:
                faults.append(f"{name} refuses {mask:g}: {outcome}")
            if not all(isinstance(o, str) for o in outcomes):
                faults.append(f"{name} refuses {mask:g} alone")
                break
        elif isinstance(outcomes[0], str):
            faults.append(f"{name} refuses -1e9 alone")
            break
        else:
            if not np.isfinite(outcome[0]).all() or np.abs(outcome[0] - outcomes[0][0]).max() > 1e-6:
                faults.append(f"{name}: probabilities for {mask:g} differ from those for -1e9")
            if not same(outcome[1], outcomes[0][1], 1e-5):
                faults.append(f"{name}: T {outcome[1]!r} for {mask:g}, {outcomes[0][1]!r} for -1e9")
    return faults


def worse(rng: np.random.Generator, folder: Path) -> list[str]:
    """Fit every likelihood calibrator: the NLL of the rows that it was fitted on does not rise."""
    logits, labels = table(rng)
    if rng.random() < 0.3:
        labels = rng.integers(logits.shape[1], size=len(labels))
    if rng.random() < 0.3:
        labels = logits.argmax(1)
    before = float(surprise(logits, labels).mean())
    faults = []
    save_predictions(Predictions(logits, "logits", labels), folder / "t.npz")
    for name in LIKELIHOOD:
        try:
            made = CALIBRATORS[name]().fit(logits, labels)
        except InputError as error:
            faults += [f"{name}: {error}"] if name not in MIXING or "absent" not in str(error) else []
            continue
        after = readings(folder / "t.npz", ("nll",), calibrator=made)[""]["nll"]
        if not after <= before * (1 + 1e-6) + 1e-6:
            faults.append(f"{name}: NLL {before!r} to {after!r} on its own rows")
    return faults


def zeros(rng: np.random.Generator, folder: Path) -> list[str]:
    """Store probabilities with zeros: one floor, with a calibrator or without, for parts and groups, in any file."""
    n, k = int(rng.choice([20, 100])), int(rng.choice([2, 3, 10]))
    p = rng.dirichlet(np.full(k, 0.3), size=n)
    decimals = int(rng.choice([1, 2, 4, 6, 99]))
    if decimals < 99:  # to so many digits, with sum one
        p = np.round(p, decimals)
        p[np.arange(n), p.argmax(1)] += 1 - p.sum(1)
        p = np.round(p, decimals)
    else:
        p[rng.random((n, k)) < 0.2] = 0
        p = np.where(p.sum(1, keepdims=True) > 0, p, 1.0)
        p /= p.sum(1, keepdims=True)
    p = p.astype(rng.choice(np.array([np.float32, np.float64])))
    labels, split = rng.integers(k, size=n), np.where(rng.random(n) < 0.5, "validation", "test")
    split[:2] = "validation", "test"
    kind = str(rng.choice([".npz", ".parquet", ".csv"]))
    path, faults = folder / f"t{kind}", []
    whole = Predictions(p, "probs", labels, split)
    if kind == ".csv":
        heads = ",".join(f"prob_{j}" for j in range(k))
        write = (lambda v: f"{v:.{decimals}f}") if decimals < 99 else (lambda v: repr(float(v)))
        rows = [",".join([*(write(v) for v in row), str(y), s]) for row, y, s in zip(p, labels, split, strict=True)]
        path.write_text("\n".join([f"{heads},label,split", *rows]) + "\n")
    else:
        save_predictions(whole, path)
    identity = CALIBRATORS["none"]().fit(np.zeros((1, k)), [0])
    losses = -np.log(np.maximum(p, _least(p, decimals, kind)))[np.arange(n), labels].astype(np.float64)
    for part in (None, "test"):
        here = np.ones(n, dtype=bool) if part is None else split == part
        want = float(losses[here].mean())
        plain = readings(path, ("nll",), split=part)[""]["nll"]
        mapped = readings(path, ("nll",), split=part, calibrator=identity)[""]["nll"]
        if not same(plain, want, 1e-5):
            faults.append(f"{kind} {p.dtype} {decimals} decimals, part {part}: NLL {plain!r}, right {want!r}")
        if not same(mapped, plain, 1e-6, 1e-7):
            faults.append(
                f"{kind} {p.dtype} {decimals} decimals, part {part}: NLL {plain!r}, by an idle calibrator {mapped!r}"
            )
    loaded = load_predictions(path).part("test")
    own = loaded.logits()[np.arange(loaded.n), loaded.labels]
    if not same(-float(own.mean()), readings(path, ("nll",), split="test")[""]["nll"], 1e-5):
        faults.append(f"{kind} {p.dtype} {decimals} decimals: fits see other zeros than readings do")
    return faults


def _least(p: np.ndarray, decimals: int, kind: str) -> float:
    """Return what a zero of the file counts as."""
    if decimals < 99 and not np.isin(p, (0, 1)).all():
        shown = next(
            d for d in range(1, decimals + 1) if (np.round(p.astype(np.float64), d).astype(p.dtype) == p).all()
        )
        return 10.0**-shown
    return float(np.finfo(np.float64 if kind == ".csv" else p.dtype).smallest_normal)


def certain(rng: np.random.Generator, folder: Path) -> list[str]:
    """Learn on rows without an error: every calibrator stays within reason on rows with errors."""
    k = int(rng.choice([2, 3, 5]))
    n = int(rng.choice([6, 20, 100, 400]))
    scale = rng.choice([0.5, 2.0, 6.0])
    logits = rng.normal(size=(n, k)) * scale
    held = logits.argmax(1)
    if rng.random() < 0.3:
        held[:] = 0
        logits[:, 0] = logits.max(1) + 0.1
    tested = rng.normal(size=(300, k)) * scale
    labels = tested.argmax(1)
    wrong = rng.random(300) < 0.3
    labels[wrong] = rng.integers(k, size=int(wrong.sum()))
    before, faults = float(surprise(tested, labels).mean()), []
    names = [*FITTED, *SPLINES] if n >= 200 else FITTED
    for name in rng.choice(np.array(names), 6, replace=False):
        made = CALIBRATORS[str(name)]().fit(logits, held)
        after = float(-np.log(np.maximum(made.predict_proba(tested), 1e-300))[np.arange(300), labels].mean())
        temperature = getattr(made, "temperature_", 1.0)
        if name == "focal-undo-temperature":  # the undo itself makes a model surer, by as much as its user says
            undone = CALIBRATORS["focal-undo"]().fit(logits, held).predict_proba(tested)
            before = max(before, float(-np.log(np.maximum(undone, 1e-300))[np.arange(300), labels].mean()))
        # what n rows without an error, and a row more, can tell; else a calibrator leaves logits about as they are
        if after > 2 * before + 2 * np.log(n) or temperature < 0.1:
            faults.append(f"{name}, {n} rows, {k} classes: T {temperature:.3g}, test NLL {before:.3g} to {after:.3g}")
        if name == "temperature" and not made.at_bound_:
            faults.append(f"{name} does not say that nothing bounds T")
    return faults


def alone(rng: np.random.Generator, folder: Path) -> list[str]:
    """Leave one class to most rows, by a mask or by a stored 0: the others decide on T, as SciPy finds it."""
    n, k = int(rng.choice([60, 300, 1500])), int(rng.choice([3, 5]))
    truth = rng.normal(size=(n, k)) * rng.choice([1.0, 3.0])
    labels = (truth + rng.gumbel(size=(n, k))).argmax(1)
    base = truth * rng.choice([0.1, 1.0, 5.0])
    free = rng.random(n) < rng.choice([0.1, 0.3, 0.45])
    free[:2] = True
    absent = ~free[:, None] & (np.arange(k) != labels[:, None])
    if rng.random() < 0.3:  # the same of a table of probabilities with stored zeros
        p = np.where(absent, 0.0, np.exp(base - base.max(1, keepdims=True)))
        p = np.round(p / p.sum(1, keepdims=True), 3)
        p[np.arange(n), p.argmax(1)] += 1 - p.sum(1)
        rows = Predictions(np.round(p, 3), "probs", labels)
        z = np.where(rows.scores > 0, np.log(np.maximum(rows.scores, 1e-3)), -np.inf)
        kept = rows.scores[np.arange(n), labels] > 0
        fitted = [TemperatureScaling().fit_table(rows)]
        z, labels, free = z[kept], labels[kept], free[kept]
    else:
        z = base
        fitted = [TemperatureScaling().fit(np.where(absent, mask, base), labels) for mask in MASKS]
    found = [float(made.temperature_) for made in fitted]
    faults = [f"T {t!r} for {m:g}, {found[0]!r} for -1e9" for m, t in zip(MASKS, found, strict=False)
              if not same(t, found[0], 1e-5)]  # fmt: skip
    nll = lambda t: float(surprise(z[free] / np.exp(t), labels[free]).mean())  # noqa: E731
    best = minimize_scalar(nll, bounds=(-20, 20), method="bounded", options={"xatol": 1e-10})
    assert isinstance(best, OptimizeResult)
    wrong = (z[np.arange(len(z)), labels] < z.max(1))[free].sum()
    excess = nll(np.log(found[0])) - float(best.fun)
    if wrong >= 28 and -10 < best.x < 4 and excess > 1e-8:  # fewer: the prior counts
        faults.append(f"T {found[0]:.6g}, right {np.exp(best.x):.6g}: NLL {excess:.1e} above")
    if excess > float(nll(0.0)) - float(best.fun) + 1e-8:
        faults.append(f"T {found[0]:.6g} is worse than none")
    return faults


def behind(rng: np.random.Generator, folder: Path) -> list[str]:
    """Learn calibrators on probabilities: behind logits whose rows have any offset they give the same."""
    n, k = int(rng.choice([60, 250])), int(rng.choice([2, 3, 6]))
    truth = 2 * rng.normal(size=(n, k))
    labels = (truth + rng.gumbel(size=(n, k))).argmax(1)
    z = truth * rng.choice([0.4, 1.0, 2.0], size=k) + rng.normal(size=k)
    offset = rng.normal(size=(n, 1)) * rng.choice([1.0, 6.0, 100.0])
    p = np.exp(z - logsumexp(z, 1, keepdims=True))  # pyright: ignore[reportOperatorIssue]
    names = [name for name in CALIBRATORS if name not in SPLINES or n >= 200]
    faults = []
    for name in rng.choice(np.array(names), 6, replace=False):
        tables = [CALIBRATORS[str(name)]().fit_table(Predictions(p, "probs", labels))]
        if name != "auto":  # whose choice hands on what it is given
            tables.append(CALIBRATORS[str(name)]().fit(np.log(p), labels))
        for made in tables:
            promised, given = made.predict_proba(np.log(p)), made.predict_proba(z + offset)
            steps = np.abs(promised - given).max(1) > 1e-6  # a row that lies on a step of a curve may fall off it
            if steps.mean() > (0.1 if {"curves", "top-curve"} & _steps_of(made) else 0):
                faults.append(f"{name}: behind logits it differs by {np.abs(promised - given).max():.2g}")
    return faults


def _steps_of(made) -> set[str]:
    return {name_of(step) for step in made.steps_}


def again(rng: np.random.Generator, folder: Path) -> list[str]:
    """Write recalibrated probabilities of a table that was rounded: they read as the calibrator promised."""
    n, k = int(rng.choice([60, 300])), int(rng.choice([2, 3, 20]))
    truth = 3 * rng.normal(size=(n, k))
    labels = (truth + rng.gumbel(size=(n, k))).argmax(1)
    decimals = int(rng.choice([1, 2, 4, 16]))
    z = rng.choice([0.3, 1.0, 2.0]) * truth
    p = np.round(np.exp(z - logsumexp(z, 1, keepdims=True)), decimals)
    p[np.arange(n), p.argmax(1)] += 1 - p.sum(1)
    p = np.maximum(np.round(p, decimals), 0).astype(rng.choice(np.array([np.float32, np.float64])))
    if np.abs(p.sum(1) - 1).max() > 1e-4:
        return []
    source, target, path = folder / "s.npz", folder / f"r{rng.choice(['.npz', '.parquet'])}", folder / "m.json"
    save_predictions(Predictions(p, "probs", labels), source)
    names = [name for name in CALIBRATORS if name not in SPLINES]
    name, faults = str(rng.choice(np.array(names))), []
    with contextlib.redirect_stdout(io.StringIO()):
        recalibrate(str(source), name, None, path, None, target)
    wanted = ("nll", "brier", "accuracy")
    promised = readings(source, wanted, calibrator=load_calibrator(path))[""]
    held = readings(target, wanted)[""]
    idle = readings(target, wanted, calibrator=CALIBRATORS["none"]().fit(np.zeros((1, k)), [0]))[""]
    for m in wanted:
        if not same(held[m], promised[m], 1e-6, 1e-7) or not same(idle[m], promised[m], 1e-6, 1e-7):
            faults.append(f"{name}, {decimals} decimals: {m} {promised[m]!r}, written {held[m]!r}, idle {idle[m]!r}")
    return faults
