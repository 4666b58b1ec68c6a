"""Laws that `scipy.special` gives are those of `scipy.stats`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from surefoot.core.distributions import (
    average_ranks,
    beta_quantile,
    beta_upper_quantile,
    normal_quantile,
    pearson3_cdf,
    skewness_of,
    t_cdf,
    t_quantile,
)

CHANCES = (1e-12, 1e-4, 0.025, 0.5, 0.9, 0.975, 1 - 1e-9)
FREEDOMS = (0.5, 1.0, 2.0, 7.3, 99.0, 1e6, np.inf)


def agree(ours: object, theirs: object) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.parametrize("p", CHANCES)
def test_quantiles(p: float) -> None:
    agree(normal_quantile(p), stats.norm.ppf(p))
    for freedom in FREEDOMS:
        agree(t_quantile(p, freedom), stats.t.ppf(p, freedom))
    count = np.array([1, 2, 5, 50, 1000, 10**7])
    for correct in (np.ones_like(count), count // 2 + 1, count):
        agree(beta_quantile(p, correct, count - correct + 1), stats.beta.ppf(p, correct, count - correct + 1))
        agree(beta_upper_quantile(p, correct + 1, count), stats.beta.isf(p, correct + 1, count))


@given(x=st.floats(-40, 40), freedom=st.sampled_from(FREEDOMS), skewness=st.floats(-9, 9))
def test_cumulative_probabilities(x: float, freedom: float, skewness: float) -> None:
    agree(t_cdf(x, freedom), stats.t.cdf(x, freedom))
    agree(pearson3_cdf(x, skewness), stats.pearson3.cdf(x, skewness))


@pytest.mark.parametrize("skewness", [0.0, 1e-6, -1e-6, 1.7e-5, -1.7e-5, 1e-3, -1e-3, 40.0, -40.0])
def test_pearsons_law_from_nearly_normal_to_nearly_one_point(skewness: float) -> None:
    for x in (-30.0, -2.0, -1e-3, 0.0, 0.04, 2.0, 30.0):
        agree(pearson3_cdf(x, skewness), stats.pearson3.cdf(x, skewness))


@given(st.lists(st.sampled_from([-np.inf, -1.0, 0.0, -0.0, 0.5, 1e300, np.inf]) | st.floats(-1, 1), min_size=1))
def test_ranks_of_ties_and_infinities(values: list[float]) -> None:
    assert average_ranks(np.array(values)).tolist() == stats.rankdata(values).tolist()


def test_skewness() -> None:
    for seed in range(5):
        draws = np.random.default_rng(seed).exponential(size=4000) * 1e-6 + seed
        agree(skewness_of(draws), stats.skew(draws))
    assert np.isnan(skewness_of(np.ones(5)))
