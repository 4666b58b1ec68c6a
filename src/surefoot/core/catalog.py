"""Looking a name up in an open list."""

from collections.abc import Mapping
from typing import TypeVar

from surefoot.core.errors import InputError

T = TypeVar("T")


def look_up(catalog: Mapping[str, T], kind: str, name: str, besides: str = "") -> T:
    """Return what stands under a name.

    Raises:
        InputError: nothing does; the message lists the names there are, and what may be given besides.

    >>> look_up({"ce": 1, "brier": 2}, "loss", "hinge")
    Traceback (most recent call last):
    surefoot.core.errors.InputError: no loss is called 'hinge'; there are: ce, brier
    """
    if name not in catalog:
        raise InputError(f"no {kind} is called {name!r}; there are: {', '.join(catalog)}{besides}")
    return catalog[name]
