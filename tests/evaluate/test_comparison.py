"""Winners are marked where the data can tell, and rarely by chance."""

import pytest

from models_that_err import sample
from surefoot.core.errors import InputError
from surefoot.evaluate.comparison import COLUMNS, compare
from surefoot.report.tables import footnote


def test_a_clear_winner_is_marked_and_equals_are_not():
    good, bad = [sample(1.0, seed=s, noise=0.2) for s in range(3)], [sample(0.4, seed=s, noise=0.2) for s in range(3)]
    comparison = compare({"good": good, "bad": bad})
    rows = {row.loss: row for row in comparison.rows}
    assert rows["good"].before["ece"].best
    assert rows["good"].before["nll"].best
    assert not rows["bad"].before["ece"].best
    single = compare({"good": good[:1], "bad": bad[:1]})
    assert not single.rows[0].before["ece"].best  # one training each: no winner can be told
    twins = compare({"a": good, "b": [sample(1.0, seed=s + 9, noise=0.2) for s in range(3)]})
    marked = [c for row in twins.rows for c in COLUMNS if row.before[c].best or row.after[c].best]
    assert marked == []
    assert "none beats" in footnote(twins)


def test_chance_winners_are_as_rare_as_promised():
    """Nets that differ by noise alone: a mark at 5% two ways round must be rare."""
    marks = 0
    for trial in range(10):
        seeds = {name: [1000 * trial + 10 * i + s for s in range(2)] for i, name in enumerate("abc")}
        tables = {name: [sample(seed=s, noise=0.3, n=400, rows=trial) for s in own] for name, own in seeds.items()}
        comparison = compare(tables)
        marks += any(row.before["nll"].best for row in comparison.rows)
    assert marks <= 2


def test_comparison_refuses_other_rows_and_unequal_seeds():
    with pytest.raises(InputError, match="other rows"):
        compare({"a": [sample()], "b": [sample(rows=1)]})
    with pytest.raises(InputError, match="paired"):
        compare({"a": [sample()], "b": [sample(), sample(seed=1)]})
