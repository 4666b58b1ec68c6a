"""Reading what was typed: numbers, ranges, names, domains, limits of time."""

import math
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from surefoot.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from surefoot.compress.stability import Patience
    from surefoot.graph.onnx_inputs import Inputs
    from surefoot.spec.input_set import InputSet

SEARCH = 2.0  # seconds for each unit that is searched exactly,
SEARCH_SHARE = 0.003  # or so much of the limit, if that is more
LARGEST_PLACE = 2**40
_LONG = re.compile("[eE][+-]?[0-9]{5}|[0-9_]{2000}")  # would take long to write out


def numbers(text: str, count: int | None, option: str) -> list[float]:
    """Read numbers between commas, fractions too.

    Raises:
        InputError: something else, or another count.

    >>> numbers("0, 2/255", None, "--eps")
    [0.0, 0.00784313725490196]
    """
    if _LONG.search(text):
        raise InputError(f"{option} {text[:40]!r}: a number of so many digits is none that float64 holds")
    try:
        numbers = [float(Fraction(part.strip())) for part in text.split(",")]
    except OverflowError:
        raise InputError(f"{option} {text!r}: a number is beyond what float64 holds, 1.8e308") from None
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{option} {text!r}: numbers such as 2/255 or 0.1 are needed") from None
    if count is not None and len(numbers) != count:
        raise InputError(f"{option} {text!r}: {count} numbers between commas are needed")
    return numbers


def places(text: str, count: int | None, option: str) -> list[int]:
    """Read places of pixels: whole numbers between commas.

    Raises:
        InputError: something else, or another count.
    """
    values = numbers(text, count, option)
    for value in values:
        if not value.is_integer() or abs(value) > LARGEST_PLACE:
            raise InputError(f"{option} {text!r}: places of pixels are whole numbers, and {value:g} is none")
    return [int(value) for value in values]


def value_range(text: str, option: str = "--range") -> tuple[float, float]:
    """Read the ends of a range of values.

    Raises:
        InputError: not two numbers, the first below the second.
    """
    low, high = numbers(text, 2, option)
    if not low < high:
        raise InputError(f"{option} {low:g},{high:g}: the first must be below the second")
    return low, high


def names_in(losses: str) -> list[str]:
    """Split names at commas, each one once.

    Raises:
        InputError: there is none.

    >>> names_in("ce, fl-3,ce")
    ['ce', 'fl-3']
    """
    names = list(dict.fromkeys(name.strip() for name in losses.split(",") if name.strip()))
    if not names:
        raise InputError("--losses names no loss")
    return names


def say_inputs(given: "Inputs | None") -> None:
    """Say on stderr how a network's values are numbered, where its file takes several inputs, or rows."""
    if given is not None and given.sentence:
        print(f"surefoot: {given.sentence}", file=sys.stderr)


def read_images(path: Path | None, shape: tuple[int, ...]) -> "Tensor | None":
    """Read inputs (n, *shape) in float64 from an .npz file, if there is one.

    Raises:
        FileError, InputError: as `read_inputs`.
    """
    if path is None:
        return None
    import torch

    from surefoot.core.inputs import read_inputs

    return torch.from_numpy(read_inputs(path, shape)).reshape(-1, *shape)


def patience_of(limit: float) -> "Patience":
    """Return how long to search each unit, and all of them, within so many seconds from now; 0: only what is quick."""
    from surefoot.compress.stability import Patience
    from surefoot.core.deadline import Deadline

    return Patience(max(SEARCH, SEARCH_SHARE * limit), Deadline.of(limit))


def read_domain(text: str, shape: tuple[int, ...]) -> "InputSet":
    """Read a set of inputs of a shape: a box, and its linear input constraints, if there are any.

    Raises:
        InputError: neither two numbers, lower first, nor a file with arrays of that many values; an empty set.
        FileError: a file that cannot be read.
    """
    from surefoot.compress.interior import with_interior
    from surefoot.core.files import read_arrays
    from surefoot.spec.input_set import InputSet, LinearConstraints

    arrays: dict[str, np.ndarray] = {}
    if text.endswith(".npz"):
        arrays = read_arrays(Path(text), ("lower", "upper"), ("rows", "bounds"))
        for name, values in arrays.items():
            if values.dtype.kind not in "fiub":
                raise InputError(f"{text}: `{name}` holds {values.dtype}, no real numbers")
        lower, upper = (np.asarray(arrays[name], dtype=np.float64).ravel() for name in ("lower", "upper"))
        if any(end.size != math.prod(shape) for end in (lower, upper)):
            raise InputError(f"{text}: {lower.size} and {upper.size} values; the network takes {shape}")
    else:
        lower, upper = (np.full(math.prod(shape), value) for value in numbers(text, 2, "--domain"))
    with np.errstate(over="ignore"):
        bounded = bool(np.isfinite(lower + upper).all())
    if not bounded or (lower > upper).any():
        raise InputError(f"--domain {text}: finite values are needed, the lower not above the upper")
    if ("rows" in arrays) != ("bounds" in arrays):
        raise InputError(f"{text}: `rows` and `bounds` belong together: rows x <= bounds")
    constraints = LinearConstraints.of(arrays["rows"], arrays["bounds"]) if "rows" in arrays else None
    return with_interior(InputSet(lower, upper, constraints))
