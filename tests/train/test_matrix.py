"""Cells of a comparison: done once, in parallel, refused early."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from surefoot.core import cluster
from surefoot.core.errors import FileError, InputError
from surefoot.train import (
    Run,
    cells,
    find_recipe,
    run_cell,
    run_matrix,
)
from training import QUIET, SHORT


def test_a_finished_cell_is_not_trained_again_and_another_is_refused(tmp_path):
    cell = Run("digits", "mlp", "ce", SHORT, 0)
    first = run_cell(cell, tmp_path, QUIET)
    written = (tmp_path / "model.safetensors").stat().st_mtime_ns
    again = run_cell(cell, tmp_path, QUIET)
    assert np.array_equal(first.scores, again.scores)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == written
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(FileError, match="other settings"):
        run_cell(Run("digits", "mlp", "brier", SHORT, 0), tmp_path, QUIET)


def test_a_run_on_other_data_of_the_same_name_is_refused(tmp_path):
    def written(seed):
        rng = np.random.default_rng(seed)
        np.savez(tmp_path / "mine.npz", x=rng.normal(size=(60, 4)).astype(np.float32), y=np.arange(60) % 2)
        return cells([str(tmp_path / "mine.npz")], ["mlp"], ["ce"], SHORT, [0])[0]

    first = written(0)
    run_cell(first, tmp_path / "run", QUIET)
    assert written(0) == first  # the same numbers written anew are the same data
    run_cell(written(0), tmp_path / "run", QUIET)
    with pytest.raises(FileError, match="a run on other data"):
        run_cell(written(1), tmp_path / "run", QUIET)
    (tmp_path / "run" / "predictions.parquet").unlink()  # as if it had been stopped
    with pytest.raises(FileError, match="a run on other data"):
        run_cell(written(1), tmp_path / "run", QUIET)


def test_predictions_of_something_else_are_no_finished_run(tmp_path):
    (tmp_path / "predictions.parquet").write_text("mine")
    with pytest.raises(FileError, match=r"no run\.json"):
        run_cell(Run("digits", "mlp", "ce", SHORT, 0), tmp_path, QUIET)


@pytest.mark.parametrize("record", ['{"cell": 5}', "{}", "[]"])
def test_a_record_of_something_else_is_refused(tmp_path, record):
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(FileError, match=r"run\.json is not the record of a run"):
        run_cell(Run("digits", "mlp", "ce", SHORT, 0), tmp_path, QUIET)


@pytest.fixture(scope="module")
def in_parallel(tmp_path_factory):
    """Run a matrix two cells at a time: what was found, and the cells in the order in which they ended."""
    matrix, seen = cells(["digits"], ["mlp"], ["ce", "adafocal"], replace(SHORT, epochs=4), [0, 1]), []
    return run_matrix(matrix, tmp_path_factory.mktemp("many"), jobs=2, done=seen.append), matrix, seen


def test_a_matrix_runs_in_parallel_and_gives_what_single_cells_give(in_parallel, tmp_path):
    found, matrix, seen = in_parallel
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


@pytest.mark.slow
def test_a_cluster_gives_the_same_table_though_a_worker_is_killed(in_parallel, tmp_path):
    distributed = pytest.importorskip("distributed", reason="a cluster needs Dask: pip install '.[cluster]'")
    here, matrix, _ = in_parallel
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as two:
        victims = [nanny.pid for nanny in two.workers.values()]

        def kill_one(cell):
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)
                victims.clear()

        there = run_matrix(matrix, tmp_path / "there", done=kill_one, cluster=two.scheduler_address)
    assert not victims
    for cell in matrix:
        assert np.array_equal(here[cell].scores, there[cell].scores)


def test_an_address_where_nothing_answers_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="a cluster needs Dask: pip install '.[cluster]'")
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        run_matrix([Run("digits", "mlp", "ce", SHORT, 0)], tmp_path, cluster="tcp://127.0.0.1:9")
