"""The interval with one row more: exact for shares, and the same however rows come."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binomtest

from probability_tables import table
from surefoot.core.scored import Scored
from surefoot.metrics import METRICS, measure, observe_scores
from surefoot.metrics.intervals import Replicates, Sample, clopper_pearson, interval, replicate
from surefoot.metrics.proper import Scores
from surefoot.metrics.uncertainty import RowRange, Sharded, total


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 50), (49, 50), (50, 50), (700, 1000)])
def test_exact_interval_is_scipys(correct, n, level):
    expected = binomtest(correct, n).proportion_ci(level, "exact")
    assert clopper_pearson(np.array(correct), np.array(n), level) == pytest.approx((expected.low, expected.high))


def sample(seed, n, k=4):
    rng = np.random.default_rng(seed)
    return sample_of(Scored.of_probs(table(seed, n=n, k=k)[0]), rng.random(n), rng)


def sample_of(rows, priority, rng, most=0.0):
    return Sample(priority, rows, rng.random(len(rows)), most)


def test_samples_add_in_any_order_and_stay_small():
    parts = [sample(seed, 300) for seed in range(4)]
    forward, backward = parts[0], parts[3]
    for i in range(1, 4):
        forward, backward = forward + parts[i], backward + parts[3 - i]
    assert len(forward.priority) == 256
    for a, b in ((forward.priority, backward.priority), (forward.rows.probs, backward.rows.probs)):
        assert (a == b).all()


def test_wrong_labels_are_wrong_and_follow_the_other_probabilities():
    probs = np.tile([0.1, 0.6, 0.3], (5000, 1))
    _, wrong = sample_of(Scored.of_probs(probs), np.zeros(5000), np.random.default_rng(0)).wrong()
    assert np.bincount(wrong, minlength=3) / 5000 == pytest.approx([0.25, 0, 0.75], abs=0.03)


def test_where_the_others_are_impossible_any_other_is_as_likely():
    probs = np.tile([0.0, 1.0, 0.0], (1000, 1))
    _, wrong = sample_of(Scored.of_probs(probs), np.zeros(1000), np.random.default_rng(0)).wrong()
    assert np.bincount(wrong, minlength=3) / 1000 == pytest.approx([0.5, 0, 0.5], abs=0.06)


def test_a_wrong_answer_that_float64_cannot_hold_is_drawn_where_a_label_was_as_surprising():
    """Both others are 0 as probabilities; the second is e^20 times as likely as the first."""
    rows = Scored.of_logits(np.tile([0.0, 900.0, 20.0], (100, 1)))
    drawn = sample_of(rows, np.zeros(100), np.random.default_rng(0), most=900.0)
    joined = drawn + drawn
    assert (joined.wrong()[1] == 2).all()
    extra = joined.extra_rows(observe_scores)
    assert extra is not None
    assert isinstance(extra.worst, Scores)
    assert extra.worst.surprise == pytest.approx(880)
    assert sample_of(rows, np.zeros(100), np.random.default_rng(0)).extra_rows(observe_scores) is None


@pytest.mark.parametrize("name", ["nll", "brier", "ece", "ks"])
@pytest.mark.filterwarnings("error")
def test_intervals_do_not_depend_on_the_number_that_stands_for_an_absent_class(name):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 4))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    absent = rng.random(logits.shape) < 0.3
    absent[:20] = True  # these rows have one class left
    absent[np.arange(200), labels] = False
    ends = []
    for mask in (-np.inf, -1e9, -65504.0, -1e4):
        reading = measure([(Scored.of_logits(np.where(absent, mask, logits)), labels)], [METRICS[name]], floors=False)
        ends.append((reading[name].low, reading[name].high))
    assert ends[1:] == [pytest.approx(ends[0])] * 3
    assert ends[0][1] < 2


def test_where_no_row_has_another_class_there_is_no_interval():
    logits = np.full((50, 3), -np.inf)
    logits[:, 1] = 0.0
    reading = measure([(Scored.of_logits(logits), np.ones(50, dtype=int))], [METRICS["nll"]], floors=False)["nll"]
    assert np.isnan(reading.high)
    assert reading.note == "no row has another class that could be its label"


def test_rows_with_one_class_give_way_to_others():
    logits = np.zeros((1000, 2))
    logits[:990, 1] = -np.inf
    sample = Sample.of(Scored.of_logits(logits), np.zeros(1000, dtype=int), np.linspace(0, 0.9, 1000), np.zeros(1000))
    assert len(sample.bounded().wrong()[0]) == 10


def test_a_sample_keeps_no_more_than_its_rows():
    rows = Scored.of_logits(np.random.default_rng(0).normal(size=(5000, 10)))
    sample = Sample.of(rows, np.zeros(5000, dtype=int), np.linspace(0, 0.9, 5000), np.zeros(5000)).bounded()
    assert sample.rows._logits is not None
    assert len(sample.rows._logits) == 256


def test_the_worst_row_is_the_least_probable_wrong_answer():
    rows = sample(0, 50)
    extra = rows.extra_rows(observe_scores)
    least = rows.rows.probs[np.arange(50), rows.wrong()[1]].min()
    assert extra is not None
    worst, wrong, right = extra.worst, extra.wrong, extra.right
    assert isinstance(worst, Scores)
    assert isinstance(wrong, Scores)
    assert isinstance(right, Scores)
    assert worst.surprise == pytest.approx(-np.log(least))
    assert (wrong.correct, right.correct) == (0, 50)


def test_for_a_share_the_bootstrap_with_one_row_more_is_the_exact_interval():
    """In the limit of many draws; here with the error rate as the score, and its worst and best."""
    rng = np.random.default_rng(0)
    n, errors, draws = 50, 3, 40_000
    weights = rng.exponential(size=(draws, n + 1))
    share = {more: (weights[:, :errors].sum(1) + more * weights[:, -1]) / weights.sum(1) for more in (0, 1)}
    ends = np.quantile(share[0], 0.025), np.quantile(share[1], 0.975)
    low, high = clopper_pearson(np.array(errors), np.array(n))
    assert ends == pytest.approx((float(low), float(high)), rel=0.03)


@pytest.mark.parametrize("name", ["nll", "ece", "ks"])
def test_a_higher_level_gives_a_wider_interval(name):
    probs, labels = table(0, n=60)
    sharded = Sharded(METRICS[name].observe)
    sharded.add(probs, labels, RowRange(0, 60))
    whole = total(sharded.tallies)
    extra = sample(0, 60, 5).extra_rows(METRICS[name].observe)
    assert extra is not None
    drawn = replicate([METRICS[name]], whole, sharded.tallies, extra)[name]
    value = METRICS[name].read(whole)
    ends = [interval(value, drawn, level) for level in (0.5, 0.8, 0.95, 0.99)]
    for (low, high), (lower, higher) in pairwise(ends):
        assert lower <= low <= value <= high <= higher


def test_an_interval_holds_its_reading_even_where_no_draw_does():
    drawn = Replicates(np.full(200, 0.5), np.full(200, 0.6), 0.0, 20)
    low, high = interval(0.1, drawn)
    assert low == 0.1
    assert high > 0.6
