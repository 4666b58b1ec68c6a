"""Cells of a comparison: done once, in parallel, refused early."""

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.train import (
    Cell,
    cells,
    find_recipe,
    run_cell,
    run_matrix,
)
from training import QUIET, SHORT


def test_a_finished_cell_is_not_trained_again_and_another_is_refused(tmp_path):
    cell = Cell("digits", "mlp", "ce", SHORT, 0)
    first = run_cell(cell, tmp_path, QUIET)
    written = (tmp_path / "model.pt").stat().st_mtime_ns
    again = run_cell(cell, tmp_path, QUIET)
    assert np.array_equal(first.scores, again.scores)
    assert (tmp_path / "model.pt").stat().st_mtime_ns == written
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(FileError, match="other settings"):
        run_cell(Cell("digits", "mlp", "brier", SHORT, 0), tmp_path, QUIET)


def test_a_matrix_runs_in_parallel_and_gives_what_single_cells_give(tmp_path):
    matrix = cells(["digits"], ["mlp"], ["ce", "fl-3"], SHORT, [0, 1])
    seen = []
    found = run_matrix(matrix, tmp_path / "many", jobs=2, done=seen.append)
    assert list(found) == matrix
    assert sorted(c.name for c in seen) == sorted(c.name for c in matrix)
    one = run_cell(matrix[3], tmp_path / "one", QUIET)
    assert np.allclose(one.scores, found[matrix[3]].scores, atol=1e-4)  # threads sum in another order


def test_unknown_names_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(InputError, match="no loss is called 'hinge'"):
        cells(["digits"], ["mlp"], ["ce", "hinge"], SHORT, [0])
    with pytest.raises(InputError, match="no model"):
        cells(["digits"], ["vgg"], ["ce"], SHORT, [0])
    with pytest.raises(InputError, match="no recipe"):
        find_recipe("slow")
