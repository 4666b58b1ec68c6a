"""Tables in pieces: the same numbers however divided, by group, on a cluster, and errors that name the file."""

import os
import signal
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.core.numerics import softmax
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.evaluate.measuring import Group, MeasurementPlan, measure_table, worst_group
from surefoot.metrics import METRICS, STANDARD, Reading, measure

SOME = tuple(METRICS[name] for name in ("nll", "ece", "ks", "classwise_ece", "spiegelhalter_pvalue"))


def sample(n=600, k=3):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, k))
    return Predictions(logits, "logits", (logits / 2 + rng.gumbel(size=(n, k))).argmax(1))


def write(folder, predictions, cuts, **columns):
    edges = [0, *cuts, predictions.n]
    for i, (a, b) in enumerate(pairwise(edges)):
        part = predictions.rows(np.arange(a, b))
        path = folder / f"{i:04}.parquet"
        save_predictions(part, path)
        if columns:
            table = pq.read_table(path)
            for name, values in columns.items():
                table = table.append_column(name, pa.array(values[a:b]))
            pq.write_table(table, path, row_group_size=500)
    return folder


def numbers(groups):
    return {(g, m): astuple(r)[:5] for g, found in groups.items() for m, r in found.readings.items()}


def same(a, b):
    assert a.keys() == b.keys()
    for key, values in a.items():
        assert b[key] == pytest.approx(values, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("cuts", [[200], [1, 2, 599], [100, 350, 351]])
def test_the_division_into_files_does_not_matter(tmp_path, cuts):
    predictions = sample()
    save_predictions(predictions, tmp_path / "one.parquet")
    save_predictions(predictions, tmp_path / "one.npz")
    many = write(tmp_path / "many", predictions, cuts)
    whole = numbers(measure_table(tmp_path / "one.parquet", MeasurementPlan(STANDARD)))
    same(whole, numbers(measure_table(tmp_path / "one.npz", MeasurementPlan(STANDARD))))
    same(whole, numbers(measure_table(many, MeasurementPlan(STANDARD))))
    same(whole, numbers(measure_table(many.as_uri(), MeasurementPlan(STANDARD))))


def test_several_processes_and_the_progress(tmp_path):
    many = write(tmp_path / "many", sample(), list(range(50, 600, 50)))
    alone = measure_table(many, MeasurementPlan(SOME))
    steps = []
    shared = measure_table(
        many, MeasurementPlan(SOME), jobs=2, progress=lambda done, total: steps.append((done, total))
    )
    same(numbers(alone), numbers(shared))
    assert steps[-1] == (600, 600)


def test_groups_and_the_worst_of_them(tmp_path):
    rng = np.random.default_rng(1)
    predictions = sample(3000)
    site = rng.choice(["north", "south", "west"], 3000)
    wrong = np.where(site == "west", rng.integers(3, size=3000), predictions.labels)  # labels of one site are noise
    broken = Predictions(predictions.scores, "logits", wrong)
    folder = write(tmp_path / "sites", broken, [1000], site=site)
    groups = measure_table(folder, MeasurementPlan(SOME, by="site"))
    assert list(groups) == ["", "north", "south", "west"]
    assert sum(g.n for name, g in groups.items() if name) == groups[""].n == 3000
    assert worst_group(groups, METRICS["ece"]) == worst_group(groups, METRICS["nll"]) == "west"
    alone = measure_table(write(tmp_path / "west", broken.rows(site == "west"), []), MeasurementPlan(SOME))
    for name in ("nll", "ece", "ks"):
        assert groups["west"].readings[name].value == pytest.approx(alone[""].readings[name].value)
    even = measure_table(write(tmp_path / "even", predictions, [], site=site), MeasurementPlan(SOME, by="site", seed=1))
    assert worst_group(even, METRICS["nll"]) is None
    with pytest.raises(InputError, match="there is no column 'place'; there are: logits, label, site"):
        measure_table(folder, MeasurementPlan(SOME, by="place"))


def test_an_error_in_one_shard_names_file_and_row(tmp_path):
    predictions = sample()
    folder = write(tmp_path / "many", predictions, list(range(50, 600, 50)))
    scores = predictions.scores[100:150].copy()
    scores[7, 1] = np.nan
    flat = pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), 3)
    table = pa.table({"logits": flat, "label": pa.array(predictions.labels[100:150])})
    pq.write_table(table, folder / "0002.parquet", row_group_size=5)
    with pytest.raises(InputError, match=r"0002.parquet: logits row 2 holds nan .*counted from row 5 of the file"):
        measure_table(folder, MeasurementPlan(SOME), jobs=2)
    (folder / "0002.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(FileError, match=r"0002.parquet is damaged"):
        measure_table(folder, MeasurementPlan(SOME))
    with pytest.raises(FileError, match="no such object"):
        measure_table(f"file://{tmp_path}/nothing", MeasurementPlan(SOME))


def test_a_cluster_gives_the_same_numbers_though_a_worker_dies(tmp_path):
    distributed = pytest.importorskip("distributed", reason="a cluster needs Dask: pip install '.[cluster]'")
    many = write(tmp_path / "many", sample(), list(range(10, 600, 10)))
    here = measure_table(many, MeasurementPlan(STANDARD, floors=False))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        victims = [worker.pid for worker in cluster.workers.values()][:1]

        def kill_one(done, total):
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)

        there = measure_table(
            many, MeasurementPlan(STANDARD, floors=False), cluster=cluster.scheduler_address, progress=kill_one
        )
    assert not victims
    same(numbers(here), numbers(there))


def test_an_empty_name_is_a_group_of_its_own(tmp_path):
    predictions, site = sample(40), np.array(["", "a"] * 20)
    groups = measure_table(write(tmp_path / "t", predictions, [], site=site), MeasurementPlan(SOME, by="site"))
    assert {name: g.n for name, g in groups.items()} == {"": 40, "(empty)": 20, "a": 20}


def test_among_many_even_groups_none_is_named():
    rng = np.random.default_rng(0)
    readings = rng.normal(0.3, 0.02, 200)
    groups = {f"site {i}": Group(50, 3, {"nll": Reading(v, v - 0.039, v + 0.039)}) for i, v in enumerate(readings)}
    groups[""] = Group(10_000, 3, {"nll": Reading(0.3)})
    assert worst_group(groups, METRICS["nll"]) is None
    groups["bad"] = Group(50, 3, {"nll": Reading(0.45, 0.41, 0.49)})
    assert worst_group(groups, METRICS["nll"]) == "bad"


@pytest.mark.parametrize("name", ["ece", "ks"])
def test_among_calibrated_groups_no_error_of_calibration_is_named(name):
    """Chance alone raises the ECE of 40 rows far above that of all rows together."""
    metric = METRICS[name]
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(40 * 20, 3))
    probs, labels = softmax(logits), (logits + rng.gumbel(size=logits.shape)).argmax(1)
    parts = {str(i): slice(40 * i, 40 * i + 40) for i in range(20)} | {"": slice(None)}
    groups = {g: Group(40, 3, measure([(probs[part], labels[part])], [metric])) for g, part in parts.items()}
    assert worst_group(groups, metric) is None
    probs = np.concatenate([np.eye(3)[(labels[:40] + 1) % 3], probs[40:]])
    groups["0"] = Group(40, 3, measure([(probs[:40], labels[:40])], [metric]))
    assert worst_group(groups, metric) == "0"
