"""Recipes are those of the paper."""

import pytest

from surefoot.core.errors import InputError
from surefoot.train import (
    RECIPES,
    find_recipe,
)


def test_the_papers_recipe():
    paper = RECIPES["paper"]
    rates = [paper.rate_factor(e) for e in range(350)]
    assert (rates.count(1.0), sum(abs(r - 0.1) < 1e-9 for r in rates), sum(abs(r - 0.01) < 1e-9 for r in rates)) == (
        149,
        100,
        101,
    )
    assert paper.reduction_for("flsd-53") == "sum"
    assert paper.reduction_for("brier") == "mean"
    with pytest.raises(InputError, match="at least one epoch"):
        find_recipe("paper", 0)
