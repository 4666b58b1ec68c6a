"""Figures of confidence: bars where the bins are, intervals as they are, pale where rows are few; every epoch once."""

import numpy as np
import pytest

from models_that_err import sample
from surefoot.evaluate.evaluation import ReliabilityCurve, evaluate
from surefoot.evaluate.training_log import COLUMNS, TrainingLog
from surefoot.report.figures import AFTER, figure_of, training_figures
from traces import traces

CURVE = ReliabilityCurve(
    lower=(0.0, 0.5), upper=(0.5, 1.0), count=(3, 90), confidence=(0.4, 0.8), accuracy=(0.3, 0.7),
    accuracy_low=(0.1, 0.6), accuracy_high=(0.9, 0.75),
)  # fmt: skip


def test_bars_and_their_intervals_are_those_of_the_curve() -> None:
    figure = figure_of(CURVE, "mine", AFTER)
    diagonal, bars, points, rows = traces(figure)
    assert (diagonal.x, diagonal.y) == ((0, 1), (0, 1))
    assert (bars.x, bars.width, bars.y) == ((0.25, 0.75), (0.5, 0.5), CURVE.accuracy)
    assert np.add(bars.y, bars.error_y.array) == pytest.approx(CURVE.accuracy_high)
    assert np.subtract(bars.y, bars.error_y.arrayminus) == pytest.approx(CURVE.accuracy_low)
    assert (points.x, points.y) == (CURVE.confidence, CURVE.accuracy)
    assert (rows.x, rows.y) == (bars.x, CURVE.count)
    assert bars.marker.opacity[0] < 0.3 < bars.marker.opacity[1] == pytest.approx(0.8)
    assert figure.to_dict()["layout"]["title"]["text"] == "mine"


def test_a_real_curve_is_drawn_bin_by_bin() -> None:
    curve = evaluate(sample(0.4, n=600))[0].before.curve
    bars = traces(figure_of(curve, "", AFTER))[1]
    assert len(bars.x) == len(curve.count)
    assert all(low <= x <= high for low, x, high in zip(curve.lower, bars.x, curve.upper, strict=True))


def test_every_column_of_a_log_is_drawn_epoch_by_epoch() -> None:
    log = TrainingLog({name: [i + 0.1, i + 0.2, i + 0.3] for i, name in enumerate(COLUMNS)}, [1, 2, 3])
    lines = [line for figure in training_figures(log) for line in traces(figure)]
    assert all(line.x == (1, 2, 3) for line in lines)
    assert sorted(line.y for line in lines) == sorted(tuple(values) for values in log.columns.values())
