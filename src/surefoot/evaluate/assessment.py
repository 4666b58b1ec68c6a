"""One model, all of it: calibration and its repair, where it is worst, what is certain, how much smaller it can be."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from surefoot.compress.file_equality import read_logits
from surefoot.compress.files import Report as Compression
from surefoot.compress.files import compress_file
from surefoot.core.errors import InputError
from surefoot.core.inputs import Inputs
from surefoot.core.onnx_file import load_onnx_model
from surefoot.core.plain import plain
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.proven import percent_span
from surefoot.evaluate.certified import Radius, certify_images
from surefoot.evaluate.diagnosis import advice, diagnose, direction, notes, percent
from surefoot.evaluate.evaluation import Evaluation, evaluate
from surefoot.evaluate.subject import Rows
from surefoot.metrics.intervals import LEVEL, clopper_pearson
from surefoot.recalibrate import Auto, Calibrator, TemperatureScaling, save_calibrator
from surefoot.recalibrate.onnx import batch_words, load_onnx, model_to_onnx, save_onnx
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import linf_ball
from surefoot.spec.runtime import runner_of_onnx
from surefoot.verify.many import open_network

LEAST_ROWS = 5  # of a class or group, to name it the worst
MOST_ROWS = 3000  # on the page
MOST_CLASSES = 20  # whose logits the page carries
DIGITS = 4


@dataclass(frozen=True)
class Ask:
    """What is asked besides calibration.

    `valid`: the least and largest value of an input; `radii`: by how much each value may move, absolute; `images`: how
    many test inputs are certified; `seconds` for each exact search of a unit's stability.
    """

    valid: tuple[float, float]
    radii: tuple[float, ...]
    images: int = 20
    seconds: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class AssessedPart:
    """Some of the rows: how many, what was claimed, how often it was right with its 95% interval.

    `gap` is by how much the claim lies outside of an interval that is wider, for the number of parts that were looked
    at; 0 inside. So a calibrated model has one in at most 5 of 100 tables, however many parts there are.
    """

    name: str
    n: int
    confidence: float
    accuracy: float
    low: float
    high: float
    gap: float


@dataclass(frozen=True)
class Assessment:
    """What was found of a model. What could not be done is None, with the reason in `reasons`."""

    title: str
    evaluation: Evaluation
    why: str  # the calibrator
    by: dict[str, list[AssessedPart]]  # after the calibrator: by class, by confidence, by group
    certified: list[Radius] | None
    images: int  # that were certified
    smaller: Compression | None
    reasons: dict[str, str]
    paragraph: str
    rows: Rows
    serving: str = ""  # how many inputs calibrated.onnx takes at a time; empty where it was not made

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold, with the version of its shape."""
        return {"schema": "surefoot.assessment/1", "direction": direction(self.evaluation.before), **plain(self)}


def assess(
    network: Path,
    validation: Inputs,
    test: Inputs,
    request: Ask,
    folder: Path,
    title: str,
    rows: Rows,
    class_names: tuple[str, ...] | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> tuple[Assessment, Predictions, Calibrator]:
    """Assess an ONNX network of logits or probabilities; leave what was made in a folder.

    Leaves `predictions.parquet`, `map.json`, `calibrated.onnx`, and `small.onnx` where it could be made smaller.

    Raises:
        InputError: inputs that the network does not take, or labels that are not its classes.
        FileError: a file that cannot be read or written.
    """
    step("predicting")
    model = load_onnx_model(network)
    predictions = _predictions(model, network, validation, test, class_names)
    step("calibrating")
    evaluation, calibrator = evaluate(predictions, "auto", None, title, request.seed)
    why = calibrator.why_ if isinstance(calibrator, Auto) else ""
    save_predictions(predictions, folder / "predictions.parquet")
    save_calibrator(calibrator, folder / "map.json")
    reasons: dict[str, str] = {}
    serving = ""
    try:
        if predictions.kind == "probs" or model.graph.node[-1].op_type in ("Softmax", "LogSoftmax"):
            raise InputError("the network gives probabilities: a calibrator goes behind logits")
        combined = model_to_onnx(load_onnx(network), calibrator, None)
        save_onnx(combined, folder / "calibrated.onnx")
        serving = batch_words(combined)
    except InputError as error:
        reasons["export"] = str(error)
    tested = predictions.part("test")
    repaired = calibrator.predict_proba(tested.logits())
    by = worst_parts(repaired, tested.labels, class_names, test.group)
    step("certifying")
    certified = None
    count = min(request.images, len(test.x))
    try:
        images = test.x[:count].astype(np.float64)
        regions = [(eps, [linf_ball(image, eps, *request.valid) for image in images]) for eps in request.radii]
        certified, _ = certify_images(open_network(network), regions, test.y[:count].tolist(), calibrator)
    except InputError as error:
        reasons["certified"] = str(error)
    step("making it smaller")
    smaller = None
    try:
        shape = read_logits(network).input_shape  # which may be flat where the inputs are pictures
        low, high = (np.full(shape, end) for end in request.valid)
        seen = torch.from_numpy(test.x[:500].astype(np.float64)).reshape(-1, *shape)
        smaller = compress_file(network, folder / "small.onnx", InputSet.of(low, high), request.seconds, seen)
    except InputError as error:
        reasons["smaller"] = str(error)
    paragraph = _paragraph(evaluation, by, certified, smaller, count)
    assessment = Assessment(title, evaluation, why, by, certified, count, smaller, reasons, paragraph, rows, serving)
    return assessment, predictions, calibrator


def _predictions(
    model: onnx.ModelProto, network: Path, validation: Inputs, test: Inputs, class_names: tuple[str, ...] | None
) -> Predictions:
    """Run both parts through a network, up to its logits where a softmax is its last operation."""
    run = runner_of_onnx(model, logits=True)
    scores = []
    for part in (validation, test):
        flat = part.x.reshape(len(part.x), -1).astype(np.float32)
        try:
            scores += [run(flat[i : i + 512]) for i in range(0, len(flat), 512)]
        except Exception as error:  # whatever the runtime makes of a wrong shape
            raise InputError(f"{network} does not take inputs of shape {part.x.shape[1:]}: {error}") from error
    table = np.concatenate(scores).reshape(len(validation.x) + len(test.x), -1)
    probabilities = bool((table >= 0).all() and np.allclose(table.sum(1), 1, atol=1e-3))  # no file says which
    labels = np.concatenate([validation.y, test.y]).astype(np.int64)
    split = np.repeat(["validation", "test"], [len(validation.x), len(test.x)])
    group = None
    if validation.group is not None and test.group is not None:
        group = np.concatenate([validation.group, test.group])
    kind = "probs" if probabilities else "logits"
    return Predictions(table, kind, labels, split, class_names, {"model": network.name}, group)


def part_of(name: str, confidence: np.ndarray, correct: np.ndarray, parts: int = 1) -> AssessedPart:
    """Summarise some rows, one of so many parts; intervals are Clopper and Pearson's, the wider one by Bonferroni."""
    n, right = np.array(len(correct)), np.array(int(correct.sum()))
    claimed = float(confidence.mean())
    low, high = clopper_pearson(right, n)
    wide_low, wide_high = clopper_pearson(right, n, 1 - (1 - LEVEL) / parts)
    gap = max(claimed - float(wide_high), float(wide_low) - claimed, 0.0)
    return AssessedPart(name, len(correct), claimed, float(right / n), float(low), float(high), gap)


def worst_parts(
    probs: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...] | None = None, group: np.ndarray | None = None
) -> dict[str, list[AssessedPart]]:
    """Divide rows by predicted class, by confidence, and by group; in each, the most miscalibrated first."""
    top, confidence = probs.argmax(1), probs.max(1)
    correct = top == labels
    names = class_names or tuple(f"class {j}" for j in range(probs.shape[1]))
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, 6)))
    band = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = {
        "predicted class": [(names[j], top == j) for j in range(probs.shape[1])],
        "confidence": [
            (f"{percent(edges[b])} to {percent(edges[min(b + 1, len(edges) - 1)])}", band == b)
            for b in range(max(len(edges) - 1, 1))
        ],
    }
    if group is not None:
        groups["group"] = [(str(name), group == name) for name in np.unique(group)]
    kept = {
        title: [(name, rows) for name, rows in parts if rows.sum() >= LEAST_ROWS] for title, parts in groups.items()
    }
    count = max(1, sum(len(parts) for parts in kept.values()))
    return {
        title: sorted(
            (part_of(name, confidence[rows], correct[rows], count) for name, rows in parts),
            key=lambda part: (-part.gap, -abs(part.confidence - part.accuracy)),
        )
        for title, parts in kept.items()
    }


def _paragraph(
    evaluation: Evaluation,
    by: dict[str, list[AssessedPart]],
    certified: list[Radius] | None,
    smaller: Compression | None,
    images: int,
) -> str:
    """Say it all in plain words."""
    words = [
        diagnose(evaluation.before),
        advice(evaluation),
        *notes(evaluation.zeros, evaluation.at_bound, evaluation.fitted_right),
    ]
    worst = [(title, parts[0]) for title, parts in by.items() if parts and parts[0].gap > 0]
    if worst:
        title, part = max(worst, key=lambda pair: pair[1].gap)
        words.append(
            f"Recalibrated, it is worst by {title} at {part.name}: it claims {percent(part.confidence)} and is right "
            f"{percent(part.accuracy)} of the time ({part.n} rows, 95% interval {percent(part.low)} to "
            f"{percent(part.high)}), which is more than chance among the {sum(map(len, by.values()))} parts looked at."
        )
    else:
        groups = " or by ".join(by)
        words.append(f"After calibration no group (by {groups}) is detectably miscalibrated.")
    if certified:
        last = certified[-1]
        low, high = last.accuracy
        a, b = last.summary.mean_confidence
        words.append(
            f"Of {images} test inputs, moved by up to {last.eps:.3g} in each value in any way, it is proven that "
            f"accuracy is {percent_span(low, high)}, and mean confidence {percent_span(a, b)}."
        )
    if smaller is not None:
        words.append(smaller.sentence)
    return " ".join(words)


def rows_for_page(predictions: Predictions, seed: int = 0) -> dict[str, Any]:
    """Return the test rows that the page computes from, rounded: logits as they are, and labels.

    At most `MOST_ROWS` rows, at random. Of many classes the largest logits and the row's own; the page says so.
    """
    tested = predictions.part("test")
    z = tested.logits().astype(np.float64)
    z = z - z.max(1, keepdims=True)
    order = np.sort(np.random.default_rng(seed).permutation(len(z))[:MOST_ROWS])
    z, y = z[order], tested.labels[order]
    k = z.shape[1]
    names = list(predictions.class_names or [f"class {j}" for j in range(k)])
    if k > MOST_CLASSES:  # columns are then ranks: the page picks no class
        of_label = z[np.arange(len(z)), y]
        rank = (z > of_label[:, None]).sum(1)
        z = -np.sort(-z, axis=1)[:, :MOST_CLASSES]
        y = np.where(rank < MOST_CLASSES, rank, -1)
        names = []
    return {"z": z.round(DIGITS).tolist(), "y": y.tolist(), "names": names, "all": int(tested.n), "classes": k}


def fitted_temperature(predictions: Predictions) -> float:
    """Return the temperature that the validation rows ask for: where the page's slider has its mark."""
    held_out = predictions.part("validation")
    return float(TemperatureScaling().fit_table(held_out).temperature_)
