"""Sets of inputs around an image: what an attacker may do to it."""

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError
from surefoot.spec.input_set import Ball, InputSet, LinearConstraints, Origin


def _flat(image: np.ndarray) -> np.ndarray:
    flat = np.asarray(image, dtype=np.float64).ravel()
    if not np.isfinite(flat).all():
        raise InputError(f"the image holds {flat[~np.isfinite(flat)][0]}; finite numbers are needed")
    return flat


def linf_ball(image: Float[np.ndarray, "..."], radius: float, low: float, high: float) -> InputSet:
    """Every pixel by up to `radius`, clipped to the valid range [low, high].

    Raises:
        InputError: a negative radius, or an image outside the valid range.
    """
    x = _flat(image)
    if not radius >= 0:
        raise InputError(f"a radius of at least 0 is needed, given {radius}")
    if x.min() < low or x.max() > high:
        raise InputError(
            f"the image has values from {x.min():g} to {x.max():g}; the valid range is {low:g} to {high:g}"
        )
    return InputSet(np.maximum(x - radius, low), np.minimum(x + radius, high))


def ball(image: Float[np.ndarray, "..."], radius: float, norm: Literal[1, 2], low: float, high: float) -> InputSet:
    """Values changed by up to `radius` together, in the norm 1 or 2, within the valid range [low, high].

    >>> around = ball(np.array([0.5, 0.5]), 0.25, 1, 0.0, 1.0)
    >>> around.contains(np.array([0.375, 0.625])), around.contains(np.array([0.25, 0.625]))
    (True, False)

    Raises:
        InputError: a negative radius, or an image outside the valid range.
    """
    box = linf_ball(image, radius, low, high)  # no value changes by more
    return replace(box, ball=Ball(_flat(image), float(radius), norm))


def brightening(image: Float[np.ndarray, "..."], threshold: float, delta: float) -> InputSet:
    """Pixels of at least `threshold` anywhere from 0 to delta times themselves; the others fixed (Tran et al. 2020).

    Raises:
        InputError: a negative delta.
    """
    x = _flat(image)
    if not delta >= 0:
        raise InputError(f"delta must be at least 0, given {delta}")
    bright = x >= threshold
    ends = np.sort(np.stack([np.zeros_like(x), delta * x]), axis=0)
    return InputSet(np.where(bright, ends[0], x), np.where(bright, ends[1], x))


def pixels(image: np.ndarray, which: np.ndarray, low: float, high: float) -> InputSet:
    """Some values, by their places in the flat image, anywhere in [low, high]; the others fixed.

    Raises:
        InputError: a place that the image does not have.
    """
    x = _flat(image)
    which = np.asarray(which, dtype=int).ravel()
    if not which.size or which.min() < 0 or which.max() >= len(x):
        raise InputError(f"places from 0 to {len(x) - 1} are needed, given {which.tolist()[:5]}")
    lower, upper = x.copy(), x.copy()
    lower[which], upper[which] = low, high
    return InputSet(lower, upper)


def patch(
    image: Float[np.ndarray, "..."],
    top: int,
    left: int,
    size: int,
    low: float,
    high: float,
    layout: Literal["chw", "hwc"] = "chw",
) -> InputSet:
    """A square of an image, in all channels, anywhere in [low, high]; the rest fixed. `layout`: channels first or last.

    Raises:
        InputError: not an image, or a square that is not inside it.
    """
    image = np.asarray(image)
    if image.ndim != 3:
        raise InputError(f"a patch needs an image ({', '.join(layout)}), given shape {image.shape}")
    places = np.arange(image.size).reshape(image.shape)
    places = places if layout == "chw" else places.transpose(2, 0, 1)
    _, h, w = (int(side) for side in places.shape)
    if min(top, left) < 0 or size < 1 or top + size > h or left + size > w:
        raise InputError(f"a square of {size} at ({top}, {left}) is not inside an image of {h} x {w}")
    return pixels(image, places[:, top : top + size, left : left + size], low, high)


def line(image: np.ndarray, attacked: np.ndarray, start: float, length: float) -> InputSet:
    """Image + a (attacked - image), start <= a <= start + length: part of the way an attack went.

    Raises:
        InputError: images of different shapes, or a negative length.
    """
    x, y = _flat(image), _flat(attacked)
    if x.shape != y.shape:
        raise InputError(f"images of {x.shape[0]} and {y.shape[0]} values lie on no line")
    if not length >= 0:
        raise InputError(f"a length of at least 0 is needed, given {length}")
    return InputSet(np.array([float(start)]), np.array([float(start + length)]), origin=Origin(x, (y - x)[None]))


def zonotope(image: np.ndarray, directions: np.ndarray) -> InputSet:
    """Image + sum a_i directions[i], each a_i in [-1, 1]: brightness and contrast, blurs, several attacks at once.

    Raises:
        InputError: directions that are not images of that size.
    """
    x = _flat(image)
    d = np.asarray(directions, dtype=np.float64)
    d = d.reshape(len(d), -1)
    if d.shape[1] != len(x) or not len(d):
        raise InputError(f"directions of {d.shape[1]} values do not fit an image of {len(x)}")
    return InputSet(-np.ones(len(d)), np.ones(len(d)), origin=Origin(x, d))


def polytope(image: np.ndarray, directions: np.ndarray, rows: np.ndarray, bounds: np.ndarray) -> InputSet:
    """The part of a zonotope where rows a <= bounds.

    Raises:
        InputError: rows that do not fit the directions.
    """
    constraints = LinearConstraints.of(rows, bounds)
    return replace(zonotope(image, directions), constraints=constraints)
