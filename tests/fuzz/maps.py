"""Random legal calibrators, breakpoints where rows pass, over boxes of logits: applied, in ONNX Runtime and
enclosed they must agree (bounds at corners and ties too), stay in the simplex and survive their file; illegal ones not.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from fuzz import Attack
from random_maps import Steps, boxes_of_logits, illegal, legal, points_of
from surefoot.core.errors import FileError, InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.recalibrate import TemperatureScaling, load_calibrator, save_calibrator
from surefoot.recalibrate.base import Calibrator
from surefoot.recalibrate.onnx import calibrator_to_onnx
from surefoot.recalibrate.steps import Affine, InverseFocal, Mix, apply, to_plain
from surefoot.spec.perturbations import linf_ball
from surefoot.verify.confidence import certify
from surefoot.verify.enclose import Differences, enclose
from surefoot.verify.network import Network

CASES = 5_000
BEFORE = (
    "947 of 5,000: 543 of 1,250 illegal files accepted, 230 calibrators left the simplex, 107 differed in ONNX, "
    "34 were outside proven bounds, 18 changed a class that was certified to stay; the others were tracebacks"
)

NOISE = 1e-13  # what rounding may do to a value between two steps
MODERATE = 1e3  # logits up to here are enclosed without any tolerance
REFUSED = ("certified bounds", "must be the calibrator's first, or follow", "float64")


def attack(seed: int, count: int) -> Attack:
    """Draw calibrators and boxes; compare all who apply a calibrator, point by point."""
    rng, met = np.random.default_rng(seed), Attack()
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        path = Path(folder) / "map.json"
        for case in range(count):
            met.tried += 1
            if case % 4 == 3:
                _illegal(rng, path, met)
            elif case % 4 == 2:
                _certified(rng, met)
            else:
                _legal(rng, path, met)
    return met


def _illegal(rng: np.random.Generator, path: Path, met: Attack) -> None:
    k = int(rng.integers(2, 5))
    what, steps = illegal(rng, k)
    head = {"format": "surefoot recalibrator", "version": 2, "name": "TemperatureScaling", "settings": {}, "learnt": {}}
    path.write_text(json.dumps(head | {"classes": k, "steps": steps}))
    try:
        load_calibrator(path)
    except FileError as error:
        met.outcomes["refused"] += 1
        if "\n" in str(error):
            met.faults.append(f"{what}: an error of several lines")
    except Exception as error:  # a traceback is what is looked for
        met.faults.append(f"{what}: {type(error).__name__}: {error}")
    else:
        met.faults.append(f"accepted: {what}")


def _legal(rng: np.random.Generator, path: Path, met: Attack) -> None:
    k = int(rng.choice([2, 3, 3, 4, 7]))
    lower, upper = boxes_of_logits(rng, k)
    z = points_of(rng, lower, upper, 4)
    if rng.random() < 0.1:  # a class that cannot be
        absent = int(rng.integers(k))
        z[:, absent] = lower[absent] = upper[absent] = -np.inf
    steps = legal(rng, z)
    where = f"{json.dumps(to_plain(steps))} at [{lower.tolist()}, {upper.tolist()}]"
    try:
        fitted = TemperatureScaling().set_steps(steps, k)
        p = apply(steps, z)
    except InputError as error:
        refused = "float64" in str(error)
        met.outcomes["out of range" if refused else "refused though legal"] += 1
        met.faults += [] if refused else [f"refused though legal: {error}: {where}"]
        return
    if not _is_simplex(p):
        met.faults.append(f"leaves the simplex: {where}")
        return
    noisy = np.stack([disturbed(rng, steps, z) for _ in range(8)] + [p])
    low, high = noisy.min(0), noisy.max(0)
    faults = _file(fitted, path, z, p) + _runtime(rng, fitted, z) + _enclosure(steps, (lower, upper), z, p, low, high)
    met.outcomes["agree" if not faults else "differ"] += 1
    met.faults += [f"{fault}: {where}" for fault in faults]


def _is_simplex(p: np.ndarray) -> bool:
    return bool(np.isfinite(p).all() and (p >= 0).all() and (np.abs(p.sum(1) - 1) < 1e-9).all())


def disturbed(rng: np.random.Generator, steps: Steps, rows: np.ndarray) -> np.ndarray:
    """Apply steps with noise of the size of rounding before each."""
    for step in steps:
        is_probabilities = bool((rows >= 0).all() and (rows <= 1).all())
        size = rows.shape if rng.random() < 0.7 else (len(rows), 1)  # all classes of a row alike, now and then
        rows = rows * (1 + NOISE * rng.choice([-1.0, 0.0, 1.0], size))
        rows = np.minimum(rows, 1.0) if is_probabilities else rows
        if isinstance(step, Mix):
            parts = [w * disturbed(rng, part, rows) for w, part in zip(step.weights, step.parts, strict=True)]
            rows = sum(parts, np.full(rows.shape, max(1.0 - step.weights.sum(), 0.0) / rows.shape[1]))
        else:
            rows = step(rows)
    return rows


def _file(fitted: Calibrator, path: Path, z: np.ndarray, p: np.ndarray) -> list[str]:
    try:
        save_calibrator(fitted, path)
        again = load_calibrator(path)
    except (FileError, ValueError) as error:
        return [f"its file is refused: {error}"]
    same = json.dumps(to_plain(again.steps_)) == json.dumps(to_plain(fitted.steps_))
    return [] if same and np.array_equal(apply(again.steps_, z), p) else ["another calibrator after its file"]


def _runtime(rng: np.random.Generator, fitted: Calibrator, z: np.ndarray) -> list[str]:
    single = z.astype(np.float32)
    try:
        model = calibrator_to_onnx(fitted)
    except InputError as error:
        return [] if "float32" in str(error) else [f"not exported: {error}"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = np.asarray(session.run(None, {"logits": single})[0], dtype=np.float64)
    low = high = apply(fitted.steps_, single)
    for _ in range(500):  # a curve may jump where rows lie: then either side is right
        ok = (given >= low - 2e-7) & (given <= high + 2e-7)
        if ok.all():
            return []
        other = disturbed(rng, fitted.steps_, single.astype(np.float64))
        low, high = np.minimum(low, other), np.maximum(high, other)
    return [f"ONNX Runtime differs by {np.maximum(low - given, given - high).max():.2g}"]


def _enclosure(
    steps: Steps, ends: tuple[np.ndarray, np.ndarray], z: np.ndarray, p: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[str]:
    upper = ends[1][:, None] - ends[0][None]
    np.fill_diagonal(upper, 0.0)
    try:
        box = enclose(steps, Differences(upper))
    except InputError as error:
        return [] if any(word in str(error) for word in REFUSED) else [f"not enclosed: {error}"]
    if np.abs(ends).max() * _gain(steps) <= MODERATE:
        low, high = p, p  # not even rounding is forgiven
    outside = ~((high >= box.lower) & (low <= box.upper))  # true of NaN
    return [f"outside its enclosure by {_distance(low, high, box.lower, box.upper):.2g}"] if outside.any() else []


def _distance(low: np.ndarray, high: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    return float(np.maximum(lower - high, low - upper).max())


def _gain(steps: Steps) -> float:
    """Bound by how much steps on logits can magnify what is rounded; curves are enclosed with what they round."""
    gain = 1.0
    for step in steps:
        match step:
            case Affine():
                gain *= 1 + float(np.abs(step.weight).max()) + float(np.abs(step.bias).max())
            case Mix():
                gain *= max(_gain(part) for part in step.parts)
            case InverseFocal():
                gain *= 1 + float(step.gammas.max())
            case _:
                pass
    return gain


def _certified(rng: np.random.Generator, met: Attack) -> None:
    """Certify a calibrator behind a small network; its breakpoints lie where the region's points pass."""
    k = int(rng.choice([2, 3, 4]))
    builder = GraphBuilder((2,))
    hidden = builder.add(Relu(), builder.add(Linear(_normal(rng, 5, 2), _normal(rng, 5)), 0))
    weight, offset = _normal(rng, k, 5) * float(rng.choice([0.3, 1.0, 10.0])), float(rng.choice([0.0, 0.0, 1e6]))
    builder.add(Linear(weight, _normal(rng, k) + offset), hidden)
    graph = builder.build()
    region = linf_ball(rng.normal(size=2), float(rng.choice([0.0, 0.01, 0.1, 0.5])), -10, 10)
    points = points_of(rng, region.lower.astype(np.float64), region.upper.astype(np.float64), 40)
    z = evaluate(graph, torch.from_numpy(points)).numpy()
    steps = legal(rng, z)
    try:
        bounds = certify(Network.of(graph), region, TemperatureScaling().set_steps(steps, k))
    except InputError as error:
        refused = any(word in str(error) for word in REFUSED)
        met.outcomes["not certified, and said so" if refused else "refused though legal"] += 1
        met.faults += [] if refused else [f"not certified: {error}: {to_plain(steps)}"]
        return
    p = np.stack([disturbed(rng, steps, z) for _ in range(4)] + [apply(steps, z)])
    low, high, label = p.min(0), p.max(0), bounds.label
    faults = []
    if (~((high >= bounds.lower) & (low <= bounds.upper))).any():
        faults.append(f"outside what was certified by {_distance(low, high, bounds.lower, bounds.upper):.2g}")
    if bounds.stays and (high[:, label][:, None] < np.delete(low, label, 1)).any():
        faults.append("certified to keep its class, which it does not")
    met.outcomes["certified" if not faults else "certified wrongly"] += 1
    met.faults += [
        f"{fault}: {to_plain(steps)} at {region.lower.tolist()}, {region.upper.tolist()}" for fault in faults
    ]


def _normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=shape))
