"""Numbers stay numbers: the attack of `fuzz.numbers`, and the cases that showed the faults."""

import json

import numpy as np
import pytest
from pyarrow import parquet

from fuzz.numbers import attack
from surefoot.cli.main import run
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.evaluate.measuring import MeasurementPlan, measure_table
from surefoot.metrics import METRICS
from surefoot.recalibrate import CALIBRATORS, TemperatureScaling

MASKS = (-1e9, -65504.0, float(np.finfo(np.float32).min), -np.inf)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_lost(seed):
    met = attack(seed, 15)
    assert met.tried == 15
    assert not met.faults


@pytest.mark.slow
def test_nothing_is_lost_in_many_tables():
    assert not attack(100, 1500).faults


@pytest.fixture
def said(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            run([str(a) for a in arguments])
        out = capsys.readouterr().out
        assert not end.value.code
        return out

    return call


def test_huge_margins_have_their_loss_and_their_order(tmp_path, said):
    path = tmp_path / "t.csv"
    path.write_text("logit_0,logit_1,label\n0,1000,0\n0,2000,1\n3000,0,0\n500,0,0\n")
    found = json.loads(said("measure", path, "--fast", "--json", "--metrics", "nll,auroc"))
    assert found["nll"]["value"] == 250
    assert found["auroc"]["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_does_not_set_the_temperature(mask):
    z = [[3, 0, mask], [0, 3, mask], [3, 0, mask], [0, 3, 0]]
    fitted = TemperatureScaling().fit(z, [0, 1, 1, 1])
    assert fitted.temperature_ == pytest.approx(2.3192, rel=1e-4)
    assert not fitted.at_bound_
    assert (fitted.predict_proba(z)[:3, 2] == 0).all()


def test_a_stored_zero_is_the_same_everywhere_and_said(tmp_path, said):
    path, other = tmp_path / "t.csv", tmp_path / "m.json"
    path.write_text("prob_0,prob_1,prob_2,label\n" + "0.900000,0.099999,0.000001,0\n" * 9 + "0.9,0.1,0.0,2\n")
    found = json.loads(said("measure", path, "--fast", "--json", "--metrics", "nll"))
    assert found["zeros"] == {"stored": 1, "count_as": 1e-6, "at_labels": 1, "rows": 10}
    learnt = json.loads(said("recalibrate", path, "--method", "none", "-o", other, "--json"))
    mapped = json.loads(said("measure", path, "--fast", "--json", "--metrics", "nll", "--map", other))
    values = [found["nll"]["value"], mapped["nll"]["value"], learnt["before"]["nll"], learnt["after"]["nll"]]
    assert values == pytest.approx([1.476376] * 4, abs=1e-5)
    assert "counts as 1e-06" in said("measure", path, "--fast")


def test_no_error_among_the_rows_is_said_and_changes_little(tmp_path, said):
    path, other = tmp_path / "t.csv", tmp_path / "m.json"
    rows = "2,0,0,validation\n0,2,1,validation\n" * 3 + "2,0,0,test\n0,2,0,test\n"
    path.write_text("logit_0,logit_1,label,split\n" + rows)
    learnt = json.loads(said("recalibrate", path, "-o", other, "--json"))
    assert learnt["at_bound"] is True
    assert 0.7 < learnt["temperature"] < 1
    tested = json.loads(
        said("measure", path, "--split", "test", "--map", other, "--fast", "--json", "--metrics", "nll")
    )
    assert tested["nll"]["value"] < 1.6  # 1.13 without a calibrator
    assert "Not one of the rows" in " ".join(said("recalibrate", path, "-o", other).split())


@pytest.mark.parametrize("rows_a_group", [1, 7, 100])
def test_the_floor_does_not_depend_on_division_parts_and_groups(tmp_path, rows_a_group):
    p = np.array([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.125, 0.875, 0.0], [1.0, 0.0, 0.0]] * 5)
    labels = np.array([2, 2, 2, 1] * 5)
    split = np.array(["validation", "test", "test", "test"] * 5)
    save_predictions(Predictions(p, "probs", labels, split), tmp_path / "t.parquet")
    table = parquet.read_table(tmp_path / "t.parquet")
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=rows_a_group)
    plan = MeasurementPlan((METRICS["nll"],), "test", "label", intervals=False, floors=False)
    for group in measure_table(tmp_path / "t.parquet", plan).values():
        assert group.readings["nll"].value == pytest.approx(np.log(1000))
        assert group.zeros is not None
        assert group.zeros.count_as == 1e-3
        assert group.zeros.at_labels == group.zeros.rows == group.n
        assert group.zeros.in_nll == pytest.approx(np.log(1000))


def test_a_label_that_cannot_be_is_refused_by_row():
    for use in (lambda z, y: Predictions(z, "logits", y), TemperatureScaling().fit):
        with pytest.raises(InputError, match="row 1 holds -inf for its own label, 2"):
            use(np.array([[0.5, 1.0, 3.0], [1.0, 2.0, -np.inf]]), np.array([0, 2]))
    with pytest.raises(InputError, match="row 0 holds -inf in every column"):
        TemperatureScaling().fit(np.full((1, 2), -np.inf), [0])


@pytest.mark.parametrize("name", ["matrix", "dirichlet", "structured", "temperature-parameterized"])
@pytest.mark.parametrize("mask", MASKS)
def test_maps_that_mix_classes_refuse_an_absent_one(name, mask):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    made = CALIBRATORS[name]().fit(z, y)
    z[7, 3] = mask
    with pytest.raises(InputError, match=r"row 7 holds .* in column 3, which is absent from it"):
        CALIBRATORS[name]().fit(z, y)
    if np.isinf(mask):
        with pytest.raises(InputError, match="row 7 holds -inf in column 3"):
            made.predict_proba(z)
