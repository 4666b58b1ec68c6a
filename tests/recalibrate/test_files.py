"""Maps as files: what the first version wrote is read, what a later one wrote is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from surefoot.core.errors import FileError
from surefoot.recalibrate import InverseFocal, TemperatureScaling, load_calibrator, save_calibrator

BEFORE = Path(__file__).parent / "written_before"
Z = np.array([[2.0, 0.0, -1.0], [0.1, 0.2, 0.3]])


def first(path: Path, name: str, settings: dict[str, object], **learnt: object) -> Path:
    record = {"format": "surefoot recalibrator", "version": 1, "name": name, "settings": settings}
    path.write_text(json.dumps(record | {"learnt": {"n_classes_": 3, **learnt}}))
    return path


def test_files_of_the_first_version_are_read_and_written_anew(tmp_path: Path) -> None:
    path, undone = tmp_path / "map.json", InverseFocal(2.0).fit(Z, [0, 1]).predict_proba(Z)
    weight, bias = [[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.5]], [0.1, 0.0, -0.1]
    undo = {"gamma": 2.0, "thresholds": []}
    cases = [
        ("TemperatureScaling", {}, {"temperature_": 2.0, "at_bound_": False}, softmax(Z / 2, 1)),
        ("FocalUndo", undo, {}, undone),
        ("FocalUndoTemperature", undo, {"temperature_": 1.0}, undone),
        ("VectorScaling", {}, {"weight_": [1.0, 2.0, 3.0], "bias_": bias}, softmax(Z * [1, 2, 3] + bias, 1)),
        ("MatrixScaling", {}, {"weight_": weight, "bias_": bias}, softmax(Z @ np.transpose(weight) + bias, 1)),
    ]
    for name, settings, learnt, probs in cases:
        made = load_calibrator(first(path, name, settings, **learnt))
        np.testing.assert_allclose(made.predict_proba(Z), probs, rtol=1e-12)
        save_calibrator(made, path)
        written = json.loads(path.read_text())
        assert (written["format"], written["version"]) == ("surefoot recalibrator", 2)
        np.testing.assert_array_equal(load_calibrator(path).predict_proba(Z), made.predict_proba(Z))


@pytest.mark.parametrize("path", sorted(BEFORE.glob("*.json")), ids=lambda path: path.stem)
def test_files_of_before_the_names_changed_compute_the_same(path: Path) -> None:
    """They and what they computed of `logits` were written by the code of commit 950c29f."""
    held = np.load(BEFORE / "probs.npz")
    found = load_calibrator(path).predict_proba(held["logits"])
    np.testing.assert_allclose(found, held[path.stem], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("change", [{"version": 3}, {"version": 1, "learnt": {}}, {"version": None}])
def test_other_versions_and_what_is_missing_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    save_calibrator(TemperatureScaling().fit(Z, [0, 2]), tmp_path / "map.json")
    record = json.loads((tmp_path / "map.json").read_text())
    (tmp_path / "map.json").write_text(json.dumps(record | change))
    with pytest.raises(FileError, match=r"version|damaged"):
        load_calibrator(tmp_path / "map.json")
