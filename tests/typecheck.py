"""The run-time type checker of the test suite: shapes and types, but not the values that the door itself refuses."""

import functools
import os
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
FIRST, EVERY = 50, 1 if os.environ.get("HYPOTHESIS_PROFILE", "repeatable") != "repeatable" else 200

check = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        hint_overrides=FrozenDict(dict.fromkeys(_DOOR_REFUSES, object)),
    )
)


def sampled(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """Let `jaxtyped` check a function's first calls, and one in so many of those that follow; in `full`, all.

    A check takes up to a tenth of a millisecond: of the small functions that bounds are made of, most of the time.
    Functions within functions say no shapes, and each call of the outer one would compile their checks anew.
    """

    def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
        decorate = jaxtyped(typechecker=typechecker)

        def of(made: Any) -> Any:
            if "<locals>" in getattr(made, "__qualname__", ""):
                return made
            if not isinstance(made, type):
                return either(made, decorate(made))
            plain = made.__init__
            checked = decorate(made)
            if checked.__init__ is not plain:
                checked.__init__ = either(plain, checked.__init__)
            return checked

        return of

    return decorator


def either(plain: Callable[..., Any], checked: Callable[..., Any]) -> Callable[..., Any]:
    """Call the function with checks first, and later mostly without."""
    calls = 0

    @functools.wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return (checked if calls <= FIRST or calls % EVERY == 0 else plain)(*args, **kwargs)

    return call
