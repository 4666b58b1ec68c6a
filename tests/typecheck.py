"""The run-time type checker of the test suite: shapes and types, but not the values that the door itself refuses."""

from typing import Literal

from beartype import BeartypeConf, FrozenDict, beartype

_DOOR_REFUSES = (
    Literal["mean", "sum", "none"],
    Literal["mean", "sum"],
    Literal["paper", "torch"],
    Literal["published", "reference"],
    Literal["ece", "nll"],
)

check = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        hint_overrides=FrozenDict(dict.fromkeys(_DOOR_REFUSES, object)),
    )
)
