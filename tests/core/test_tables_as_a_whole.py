"""What only a whole table tells: whether it holds probabilities, and how finely they were written."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from surefoot.core.checks import check_probs
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions, pieces_of, resolution_of


def written(path, logits, rows):
    columns = {"logits": pa.array(logits.tolist()), "label": pa.array([0] * len(logits))}
    parquet.write_table(pa.table(columns), path, row_group_size=rows)


@pytest.mark.parametrize("rows", [1, 10])
def test_votes_are_logits_if_any_row_says_so(tmp_path, rows):
    z = np.tile([1.0, 0.0], (10, 1))
    written(tmp_path / "all.parquet", z, rows)
    z[7] = [2.0, 1.0]
    written(tmp_path / "one.parquet", z, rows)
    assert load_predictions(tmp_path / "one.parquet").n == 10
    assert resolution_of(pieces_of(tmp_path / "one.parquet")) is None
    z[7] = [1.0, 0.0]  # rows of a one and zeros may be logits
    written(tmp_path / "votes.parquet", z, rows)
    assert resolution_of(pieces_of(tmp_path / "votes.parquet")) is None
    assert load_predictions(tmp_path / "votes.parquet").n == 10
    z[7] = [0.75, 0.25]
    written(tmp_path / "all.parquet", z, rows)
    with pytest.raises(InputError, match="these are probabilities"):
        resolution_of(pieces_of(tmp_path / "all.parquet"))


def test_one_floor_for_a_folder_and_for_a_type_that_is_widened(tmp_path):
    p = np.array([[0.999999, 0.000001, 0.0], [0.5, 0.5, 0.0]])
    for name, dtype in (("a", np.float32), ("b", np.float64)):
        save_predictions(Predictions(p.astype(dtype), "probs", np.array([0, 1])), tmp_path / f"{name}.parquet")
    assert load_predictions(tmp_path).floor == resolution_of(pieces_of(tmp_path)) == 1e-6
    half = Predictions(np.array([[1 / 3, 2 / 3], [1, 0]], dtype=np.float16), "probs", np.array([0, 1]))
    for name in ("h.parquet", "h.npz"):
        save_predictions(half, tmp_path / name)
        assert load_predictions(tmp_path / name).floor == half.floor == float(np.finfo(np.float16).smallest_normal)


def test_what_is_beside_the_rows_is_checked():
    cases: list[dict[str, Any]] = [{"class_names": 3}, {"provenance": [1]}, {"provenance": {"a": 1}}]
    for more in cases:
        with pytest.raises((InputError, TypeError), match=r"must be|type"):
            Predictions(np.eye(2), "probs", np.array([0, 1]), **more)


def test_rounded_probabilities_are_not_called_logits():
    with pytest.raises(InputError, match="rounded probabilities"):
        check_probs([[0.333, 0.333, 0.332]])
    with pytest.raises(InputError, match="look like logits"):
        check_probs([[3.0, 1.0]])
