"""Winners are marked where the data can tell, and rarely by chance."""

import numpy as np
import pytest

from cases import first
from models_that_err import sample
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions
from surefoot.evaluate.comparison import COLUMNS, compare
from surefoot.evaluate.evaluation import divide
from surefoot.metrics import METRICS, measure
from surefoot.report.tables import footnote


def test_a_clear_winner_is_marked_and_equals_are_not():
    good, bad = [sample(1.0, seed=s, noise=0.2) for s in range(3)], [sample(0.4, seed=s, noise=0.2) for s in range(3)]
    comparison = compare({"good": good, "bad": bad})
    rows = {row.loss: row for row in comparison.rows}
    assert rows["good"].before["ece"].best
    assert rows["good"].before["nll"].best
    assert not rows["bad"].before["ece"].best
    twins = compare({"a": good, "b": [sample(1.0, seed=s + 9, noise=0.2) for s in range(3)]})
    marked = [c for row in twins.rows for c in COLUMNS if row.before[c].best or row.after[c].best]
    assert marked == []
    assert "none beats" in footnote(twins)


def test_of_one_training_each_no_winner_is_told():
    single = compare({"good": [sample(1.0, noise=0.2)], "bad": [sample(0.4, noise=0.2)]})
    assert not single.rows[0].before["ece"].best


def rare_errors(seed, n=400):
    """Return predictions of a sure model: few rows are wrong, and each of those costs much."""
    rng = np.random.default_rng(seed)
    z = np.c_[rng.uniform(3, 9, size=n), np.zeros(n)]
    labels = (np.random.default_rng(0).random(n) < 0.02).astype(int)
    return Predictions(z, "logits", labels, np.where(np.arange(n) % 2 == 0, "validation", "test"))


def test_of_one_seed_the_interval_is_that_of_measure():
    table = rare_errors(0)
    (row,) = compare({"a": [table]}).rows
    _, tested = divide(table, None)
    reading = measure([(tested.scored(), tested.labels)], [METRICS["nll"]], floors=False)["nll"]
    nll = row.before["nll"]
    assert nll.mean == pytest.approx(reading.value)
    assert (nll.low, nll.high) == (pytest.approx(reading.low, rel=0.1), pytest.approx(reading.high, rel=0.1))
    assert nll.high - nll.mean > 1.2 * (nll.mean - nll.low)  # errors that were not seen would raise it
    assert nll.half_width == pytest.approx((nll.high - nll.low) / 2)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_no_interval_holds_what_a_metric_cannot_be(seeds):
    comparison = compare({"a": [sample(1 + s, seed=s, noise=s, n=60) for s in range(seeds)]})
    for stage in ("before", "after"):
        for column, value in comparison.rows[0].at(stage).items():
            assert 0 <= value.low <= value.mean <= value.high, column
            assert column == "nll" or value.high <= 1
    temperature = comparison.rows[0].temperature
    assert seeds == 1 or 0 <= temperature.low <= temperature.mean <= temperature.high


@pytest.mark.parametrize(("trials", "most"), first(1, [(2, 0), (10, 2)]))
def test_chance_winners_are_as_rare_as_promised(trials, most):
    """Nets that differ by noise alone: a mark at 5% two ways round must be rare."""
    marks = 0
    for trial in range(trials):
        seeds = {name: [1000 * trial + 10 * i + s for s in range(2)] for i, name in enumerate("abc")}
        tables = {name: [sample(seed=s, noise=0.3, n=400, rows=trial) for s in own] for name, own in seeds.items()}
        comparison = compare(tables)
        marks += any(row.before["nll"].best for row in comparison.rows)
    assert marks <= most


def test_comparison_refuses_other_rows_and_unequal_seeds():
    with pytest.raises(InputError, match="other rows"):
        compare({"a": [sample(n=40)], "b": [sample(n=40, rows=1)]})
    with pytest.raises(InputError, match="paired"):
        compare({"a": [sample(n=40)], "b": [sample(n=40), sample(n=40, seed=1)]})
