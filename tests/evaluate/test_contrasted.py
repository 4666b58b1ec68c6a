"""What is contrasted: the same rows on every side, and tables that are not of the same rows are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models_that_err import sample
from surefoot.core.errors import InputError, Taken
from surefoot.core.predictions import save_predictions
from surefoot.evaluate.contrasted import maps_of, models_of
from surefoot.evaluate.evaluation import divide
from surefoot.recalibrate import TemperatureScaling


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    """Write two models on the same rows."""
    names = []
    for i, temperature in enumerate((0.4, 1.0)):
        names.append(str(tmp_path / f"{i}.npz"))
        save_predictions(sample(temperature, n=200, seed=i, noise=0.1), names[-1])
    return names


def test_calibrators_are_learnt_on_rows_that_are_not_contrasted(tables: list[str]) -> None:
    sides = maps_of(tables[0], ["none", "temperature"], 0)
    fitted_on, tested = divide(sample(0.4, n=200, seed=0, noise=0.1), None, 0)
    want = TemperatureScaling().fit_table(fitted_on).predict_proba(tested.logits())
    assert list(sides.rows) == ["none", "temperature"]
    assert np.array_equal(sides.labels, tested.labels)
    assert np.allclose(sides.rows["temperature"].probs, want)
    assert np.allclose(sides.rows["none"].probs, tested.probs())
    with pytest.raises(InputError, match="none is the same calibrator twice"):
        maps_of(tables[0], ["none", "none"], 0)


def test_models_are_contrasted_on_their_test_parts(tables: list[str]) -> None:
    with pytest.warns(Taken, match="its 100 rows of the part test are compared"):
        sides = models_of(tables)
    test = sample(0.4, n=200, seed=0, noise=0.1).part("test")
    assert np.array_equal(sides.labels, test.labels)
    assert np.allclose(sides.rows[tables[0]].probs, test.probs())
    assert (sides.zeros, sides.common_floor, sides.sentences) == ({}, None, [])


def test_tables_of_other_rows_are_refused(tables: list[str], tmp_path: Path) -> None:
    table = sample(1.0, n=200)
    for i, other in enumerate((replace(table, labels=(table.labels + 1) % 4), table.rows(np.arange(150)))):
        save_predictions(other, tmp_path / f"other{i}.npz")
        with pytest.warns(Taken), pytest.raises(InputError, match="is not of the same rows as"):
            models_of([tables[0], str(tmp_path / f"other{i}.npz")])
    with pytest.raises(InputError, match="one table needs --methods"):
        models_of(tables[:1])
    with pytest.raises(InputError, match="is the same table twice"):
        models_of([tables[0], tables[0].replace("/0.npz", "/./0.npz")])
