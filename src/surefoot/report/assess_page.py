"""The page, the JSON and the model card of an assessment."""

import json
from pathlib import Path

from surefoot.core.files import write_json, write_text
from surefoot.core.predictions import Predictions
from surefoot.evaluate.assessment import Assessment, fitted_temperature, rows_for_page
from surefoot.evaluate.diagnosis import percent
from surefoot.metrics import METRICS
from surefoot.report.page import reading_cells, render

SHOWN = ("accuracy", "nll", "brier", "ece", "ks", "overconfidence")


def write_assessment(folder: Path, assessment: Assessment, predictions: Predictions) -> None:
    """Write `report.html`, `assessment.json` and `README.md`, a model card for the Hugging Face hub."""
    content = assessment.plain()
    write_json(folder / "assessment.json", content)
    sample = rows_for_page(predictions)
    rows = {**sample, "fitted": fitted_temperature(predictions)}
    before, after = assessment.evaluation.before, assessment.evaluation.after
    readings = [reading_cells(name, before, after) for name in SHOWN if name in before.readings]
    parts = [
        (title, [(p.name, p.n, percent(p.confidence), percent(p.accuracy), percent(p.low), percent(p.high), p.gap > 0)
                 for p in worst[:8]])
        for title, worst in assessment.by.items()
    ]  # fmt: skip
    render(
        folder / "report.html",
        "assess.html",
        assessment.title,
        {**content, "rows": rows},
        by_plotly=False,
        assessment=assessment,
        readings=readings,
        parts=parts,
        sampled=len(sample["y"]) < sample["all"],
        pickable=bool(sample["names"]),
    )
    write_text(folder / "README.md", model_card(assessment))


def model_card(assessment: Assessment) -> str:
    """Write a model card: the front matter that the hub reads, and what an engineer asks first."""
    before, after = assessment.evaluation.before, assessment.evaluation.after
    values = {name: after.readings[name].value for name in ("accuracy", "nll", "brier", "ece")}
    data = assessment.evaluation.provenance.get("data", "held-out rows")
    metrics = [f"      - {{type: {name}, value: {value:.6g}, name: {json.dumps(METRICS[name].title)}}}"
               for name, value in values.items()]  # fmt: skip
    applied = assessment.evaluation.method != "none"
    calibrated_title = f"{assessment.title}, calibrated" if applied else assessment.title
    head = [
        "---",
        "library_name: onnx",
        "tags: [calibration, surefoot]",
        "metrics: [accuracy]",
        "model-index:",
        f"  - name: {json.dumps(calibrated_title)}",
        "    results:",
        "    - task: {type: classification}",
        f"      dataset: {{name: {json.dumps(data)}, type: {json.dumps(data)}}}",
        "      metrics:",
        *metrics,
        "---",
    ]
    calibrated = (
        f"`calibrated.onnx` (the network and its calibrator; it {assessment.serving}), " if assessment.serving else ""
    )
    removed = assessment.smaller is not None and assessment.smaller.units[1] < assessment.smaller.units[0]
    smaller = "`small.onnx` (the same answers, fewer units), " if removed else ""
    body = [
        f"# {assessment.title}",
        "",
        assessment.paragraph,
        "",
        f"Calibrator: {assessment.why or assessment.evaluation.method}",
        "",
        "| | as it is | 95% interval | noise floor | after the calibrator | 95% interval | noise floor |",
        "|" + "---|" * 7,
    ]
    cells = [reading_cells(name, before, after) for name in SHOWN if name in before.readings]
    body += [f"| {' | '.join(row)} |" for row in cells]
    body += [
        "",
        f"{before.n:,} rows. {assessment.rows.sentence} Noise floor: what a calibrated model of the same confidences "
        "would show, and (≤) what 95% of such stay below.",
        "",
        f"Files: {calibrated}`map.json`, {smaller}`report.html`, `assessment.json`.",
        "",
        "## What this cannot tell",
        "",
        "Numbers are of rows like those measured: other cameras, sites or times have other errors. Certificates speak",
        "of inputs near the certified ones, moved as said, and of nothing else.",
        "",
    ]
    for what, why in assessment.reasons.items():
        body.append(f"Not done: {what}: {why}.")
    return "\n".join([*head, "", *body]) + "\n"
