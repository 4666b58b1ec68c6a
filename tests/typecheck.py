"""The run-time type checker of the test suite: shapes and types, but not the values that the door itself refuses."""

from collections.abc import Callable
from typing import Any, Literal

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


def outermost(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """Let `jaxtyped` pass over functions within functions.

    They say no shapes, and each call of the outer one would compile their checks anew: milliseconds, where the function
    itself takes microseconds.
    """

    def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
        decorate = jaxtyped(typechecker=typechecker)
        return lambda made: made if "<locals>" in getattr(made, "__qualname__", "") else decorate(made)

    return decorator
