"""Names that can be typed are those of the catalogues."""

import pytest

from surefoot.cli import names
from surefoot.data import DATA
from surefoot.evaluate import published
from surefoot.losses import LOSSES
from surefoot.metrics import METRICS
from surefoot.models import MODELS
from surefoot.recalibrate import CALIBRATORS
from surefoot.train import RECIPES
from surefoot.verify.catalog import METHODS as METHODS_OF_VERIFY
from surefoot.verify.catalog import RENAMED


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        (names.CALIBRATORS, CALIBRATORS),
        (names.LOSSES, LOSSES),
        (names.MODELS, MODELS),
        (names.DATA, DATA),
        (names.METRICS, METRICS),
        (names.RECIPES, RECIPES),
        (names.TABLES, published.TABLES),
        (names.PAPER_LOSSES, published.LOSSES),
        (names.METHODS, METHODS_OF_VERIFY),
        (names.RENAMED_METHODS.items(), RENAMED.items()),
    ],
    ids=["recalibrators", "losses", "models", "data", "metrics", "recipes", "tables", "paper", "methods", "renamed"],
)
def test_names_that_can_be_typed_are_those_of_the_catalogues(typed, known) -> None:
    assert tuple(typed) == tuple(known), "write the catalogue's names into cli/names.py"
