"""Recipes are those of the paper."""

import itertools

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.train import (
    RECIPES,
    find_recipe,
)


def test_the_papers_recipe():
    paper = RECIPES["paper"]
    rates = [paper.rate_in_epoch(e) for e in range(350)]
    assert (rates.count(1.0), sum(abs(r - 0.1) < 1e-9 for r in rates), sum(abs(r - 0.01) < 1e-9 for r in rates)) == (
        149,
        100,
        101,
    )
    assert paper.reduction_for("flsd-53") == "sum"
    assert paper.reduction_for("brier") == "mean"
    with pytest.raises(InputError, match="at least one epoch"):
        find_recipe("paper", 0)


def test_paper_means_what_the_paper_did_with_that_data():
    assert find_recipe("paper", data="cifar10") == find_recipe("paper", data="digits")
    assert find_recipe("paper", data="tiny-imagenet").batch_size == 64
    assert find_recipe("paper", data="20news").optimiser == "adam"
    sst = find_recipe("paper", data="sst")
    assert isinstance(sst.make_optimiser(torch.nn.Linear(1, 1)), torch.optim.Adagrad)
    assert find_recipe("fast", data="sst") == RECIPES["fast"]


def test_one_cycle_rises_falls_and_ends_at_zero():
    rates = [RECIPES["fast"].rate_at(i / 1000) for i in range(1001)]
    top = rates.index(max(rates))
    assert rates[top] == 1
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a > b for a, b in itertools.pairwise(rates[top:]))
    assert rates[0] == rates[-1] == 0
