"""How well trained networks tell out-of-distribution inputs from known ones, before and after their temperature."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from surefoot.core.predictions import Predictions
from surefoot.data import Part, Prepare
from surefoot.evaluate.comparison import mean_interval
from surefoot.metrics import OOD_SCORES, ood_auroc
from surefoot.recalibrate import TemperatureScaling
from surefoot.train import Run, load_model, predict

# Of one set of such inputs and one score: loss -> stage -> mean over seeds in percent, and the ends of its interval.
Values = dict[str, dict[str, tuple[float, float, float]]]


def ood_values(
    runs: Mapping[Run, Predictions], folder: Path, ood: Mapping[str, Part], prepare: Prepare
) -> dict[tuple[str, str], Values]:
    """Compute the AUROC of every network of a matrix against each set of out-of-distribution inputs, by each score."""
    values: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    for cell, predictions in runs.items():
        network = load_model(folder / cell.name / "model.safetensors")
        held_out, known = predictions.part("validation"), predictions.part("test").scores
        temperature = TemperatureScaling().fit(held_out.scores, held_out.labels).temperature_
        for name, part in ood.items():
            logits = predict(network, part, prepare)
            for score in OOD_SCORES:
                stages = values.setdefault((name, score), {}).setdefault(cell.loss, {})
                for stage, t in (("before", 1.0), ("after", temperature)):
                    stages.setdefault(stage, []).append(100 * ood_auroc(known / t, logits / t, score))
    return {
        key: {loss: {stage: mean_and_ends(x) for stage, x in stages.items()} for loss, stages in losses.items()}
        for key, losses in values.items()
    }


def mean_and_ends(values: list[float]) -> tuple[float, float, float]:
    """Compute a mean over seeds, in percent, and the ends of its 95% interval; NaN from one seed."""
    return float(np.mean(values)), *mean_interval(values, (0.0, 100.0))
