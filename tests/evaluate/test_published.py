"""The paper's numbers, and the names that they stand under."""

import pytest

from surefoot.core.errors import InputError
from surefoot.evaluate.published import FROM_MEMORY, RERUN, TABLES, published
from surefoot.losses import LOSSES
from surefoot.models import MODELS


def test_published_numbers_are_those_of_the_paper():
    assert published("ece", "cifar10", "resnet50", "ce") == (4.35, 1.35)
    assert published("ece", "sst", "tree-lstm", "flsd-53") == (9.19, 1.83)
    assert published("error", "cifar100", "resnet50", "flsd-53") == (23.22, 23.22)
    assert published("ada-ece", "cifar10", "resnet50", "fl-3") is None
    with pytest.raises(InputError, match="no table"):
        published("mce", "cifar10", "resnet50", "ce")


def test_every_published_name_is_one_that_can_be_trained():
    for name, table in TABLES.items():
        assert len(RERUN[name]) == 2
        for (_, model), row in table.items():
            assert model in MODELS
            assert set(row) <= set(LOSSES)
    assert {name for name, _, _ in FROM_MEMORY} <= set(TABLES)
