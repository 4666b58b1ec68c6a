"""Every step as nodes: ONNX Runtime is the judge."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from onnx_models import logits_and_labels, runtime  # noqa: E402
from surefoot.recalibrate import (  # noqa: E402
    CALIBRATORS,
    InverseFocal,
    TemperatureScaling,
)
from surefoot.recalibrate.onnx import calibrator_to_onnx  # noqa: E402
from surefoot.recalibrate.priors import with_priors  # noqa: E402

HARD = np.array(
    [[0, 0, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [50, 0, 0, 0, -50], [1e-30, 0, 0, 0, 0], [-800, -900, -1e4, -800, -1e4]],
    dtype=np.float32,
)


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_every_map_in_the_runtime(name):
    logits, labels = logits_and_labels()
    fitted = CALIBRATORS[name]().fit(logits, labels)
    for rows in (logits, logits[:1], HARD):
        assert np.abs(runtime(calibrator_to_onnx(fitted), rows) - fitted.predict_proba(rows)).max() < 1e-6


def test_gammas_by_threshold_and_other_priors():
    logits, labels = logits_and_labels()
    for fitted in (InverseFocal((5.0, 3.0), (0.2,)), TemperatureScaling()):
        moved = with_priors(fitted.fit(logits, labels), [0.2] * 5, [0.5, 0.2, 0.1, 0.1, 0.1])
        assert np.abs(runtime(calibrator_to_onnx(moved), logits) - moved.predict_proba(logits)).max() < 1e-6


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_maps_learnt_on_degenerate_tables_run_as_well(name):
    constant = np.tile([2.0, 0.0, 0.0], (200, 1)).astype(np.float32)
    own = np.eye(3, dtype=np.float32)[np.arange(201)[:200] % 3]
    for logits in (constant, 10 * own - 5, np.round(logits_and_labels(3, 200)[0] / 4)):
        for labels in (np.arange(200) % 3, np.zeros(200, dtype=int)):
            fitted = CALIBRATORS[name]().fit(logits, labels)
            found = runtime(calibrator_to_onnx(fitted), logits.astype(np.float32))
            assert np.abs(found - fitted.predict_proba(logits.astype(np.float32))).max() < 1e-6
